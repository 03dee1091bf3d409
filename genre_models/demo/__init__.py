"""The demo corpus: music of eight invented styles, synthesised from a seed.

Numbers reached on it are the demo's and are shown as such: the styles are caricatures, and telling them apart is not genre classification.
Importing this package loads neither NumPy nor SciPy.
"""

from __future__ import annotations

from genre_models.demo.render import DEMO_VERSION, MARKER, render_demo

__all__ = ["DEMO_VERSION", "MARKER", "render_demo"]
