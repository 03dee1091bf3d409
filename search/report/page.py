"""The page itself: text by Jinja with everything escaped, plots by plotly.js, all in one file that may ask nobody for anything.

A strict policy goes with it: no script runs but the two whose hashes it names, nothing is fetched, no form is sent. Plotly writes rules into a style sheet, so styles are not
bound. plotly.js is the whole of it, 4.8 MB of the file: the Python package carries no smaller build.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

_HERE = Path(__file__).parent
_UNFOLDED = 12  # rows of a table that is shown without being asked for


def render(**parts: Any) -> str:
    """The page.

    Parameters
    ----------
    parts
        What ``page.html`` shows; ``data`` is for the plots, JSON-able.

    Returns
    -------
    str
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"shown": shown, "prose": prose}
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    data = as_json(parts.pop("data"))
    plotly, plotly_hash = plotly_js()
    policy = f"default-src 'none'; script-src {plotly_hash} {script_hash(script)}; style-src 'unsafe-inline'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    page = environment.get_template("page.html")
    return page.render(policy=Markup(policy), style=Markup(style), script=Markup(script), plotly=Markup(plotly), data=Markup(data), unfolded=_UNFOLDED, **parts)


def as_json(data: Any) -> str:
    """JSON that may stand in a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def script_hash(text: str) -> str:
    """A script as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@lru_cache(maxsize=1)
def plotly_js() -> tuple[str, str]:
    """plotly.js, and its hash as a policy names it."""
    from plotly.offline import get_plotlyjs

    text = get_plotlyjs()
    return text, script_hash(text)


def prose(text: object) -> str:
    """A sentence, its percent signs kept beside their numbers."""
    return shown(text).replace(" %", "\u00a0%")


def shown(text: object) -> str:
    """A name as it may be shown: control characters and other invisible ones as escapes, everything else whole."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
