"""Errors of the task half: one root, few children.

A root command prints ``error: MESSAGE`` without a traceback and exits with ``exit_code``. Errors that end one trial carry
``reason_code``, which becomes the trial's end state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: What moves a terminal's cursor, changes its colours or the direction of writing, by code point; names of files may hold it. For `str.translate`.
CONTROL_CHARACTERS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))} | {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


class GenreModelsError(Exception):
    """Root of every error that this package raises on purpose. Its text moves no terminal, whatever names it repeats.

    Attributes
    ----------
    exit_code : int
        What a command that stops on this error exits with.
    """

    exit_code = 2

    def __str__(self) -> str:
        return super().__str__().translate(CONTROL_CHARACTERS)


class CorpusError(GenreModelsError):
    """A corpus, a split list or a groups file can't be used as it stands."""


class HeldOutError(GenreModelsError):
    """Features were asked for a track that is not one of the development tracks."""


class SettingsError(GenreModelsError, ValueError):
    """A setting of the ``data:`` or ``features:`` section is wrong, or wrong for this corpus."""


class ConfigurationRefused(GenreModelsError):
    """A configuration that can't be built at this input size, or is over a limit; refused before it costs anything."""

    reason_code = "refused"


class TrainingDiverged(GenreModelsError):
    """The loss or a score stopped being a finite number."""

    reason_code = "nan"


class SnapshotError(GenreModelsError):
    """A snapshot can't be read, or is of another run: the trial is to be started afresh."""

    reason_code = "snapshot"


class SealedError(GenreModelsError):
    """The held-out tracks were already looked at with another model."""

    exit_code = 3


class CacheError(GenreModelsError):
    """The feature cache can't be written, or holds no row for a track that was asked for."""


#: Where else the folders go whose files are locked.
_ELSEWHERE = "put studies on a disk that has them with --studies-dir (trials may stay in PostgreSQL, checkpoints elsewhere by artifacts: PLACE)"


def no_locks(folder: Path, error: Exception, remedy: str = _ELSEWHERE) -> CacheError:
    """The error of a folder in which no file can be locked; nothing is written there without, as another process may.

    Parameters
    ----------
    folder : Path
    error : Exception
        What was raised in its place, by the system or by portalocker.
    remedy : str
    """
    reason = getattr(error.__cause__ or error, "strerror", None) or error
    return CacheError(f"{folder}: the file system has no locks ({reason}); {remedy}")


class TrunkUnavailable(GenreModelsError):
    """A pretrained network has no weights here, or not as far as it is to be used.

    Attributes
    ----------
    trunk : str or None
        Key of the trunk (`genre_models.trunks.facts.trunk_key`), where it is known.
    """

    trunk: str | None = None
