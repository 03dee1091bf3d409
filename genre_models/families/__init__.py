"""The registry of model families. Importing it loads no Keras, TensorFlow, librosa or scikit-learn.

A new family is one declaration module and one line here; its `module` has `estimate` and `fit` (docs/design.md, section 5).
"""

from __future__ import annotations

from genre_models.families.cnn_declaration import CNN
from genre_models.families.declaration import Cost, Declared, Family

FAMILIES: dict[str, Family] = {family.name: family for family in (CNN,)}

__all__ = ["FAMILIES", "Cost", "Declared", "Family"]
