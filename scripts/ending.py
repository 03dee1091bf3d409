"""How a command ends: whatever goes wrong is one line on standard error and an exit code, never a traceback."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from genre_models.errors import GenreModelsError
from search.errors import SearchError


def exit_code_of(action: Callable[[], int], *, stopped: str, elsewhere: str = "choose another place, or free space there") -> int:
    """Run what a command does.

    Parameters
    ----------
    action : callable
        Returns the exit code.
    stopped : str
        What to say where the user stops it.
    elsewhere : str
        What to do about a full disk or a place that can't be written.
    """
    try:
        return action()
    except (SearchError, GenreModelsError) as error:
        _tell(f"error: {error}")
        return error.exit_code
    except OSError as error:
        _tell(f"error: {error.filename or ''}: {error.strerror or error}; {elsewhere}")
        return SearchError.exit_code
    except KeyboardInterrupt:
        _tell(stopped)
        return 130


def _tell(line: str) -> None:
    Console(stderr=True, soft_wrap=True, emoji=False).print(line, markup=False, highlight=False)
