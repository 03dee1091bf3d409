"""A console for commands: what it prints may repeat names of files and classes, and those must not steer the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from genre_models.errors import CONTROL_CHARACTERS


class PlainConsole(Console):
    """Rich's console, which shows control characters in texts as escapes. Its own colours and progress bars are as ever."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As `rich.console.Console.print`."""
        super().print(*(each.translate(CONTROL_CHARACTERS) if isinstance(each, str) else each for each in objects), **options)
