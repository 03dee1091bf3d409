"""Archives from elsewhere: what they unpack to is bounded before anything is unpacked."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile, ZipFile

from genre_models.errors import GenreModelsError

#: Models are stored as they are; what is packed unpacks to a few times its size.
_ANYWAY_BYTES, _TIMES = 64 << 20, 20


def require_sound_archive(path: Path) -> None:
    """Refuse an archive (``.keras``, ``.skops``) whose members declare far more bytes than it has; of a member no reader unpacks more than it declares.

    Raises
    ------
    GenreModelsError
        If it does.
    """
    try:
        with ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (BadZipFile, OSError, ValueError, NotImplementedError):
        return  # no archive, or a broken one: whoever reads it says so
    if unpacked > _ANYWAY_BYTES + _TIMES * path.stat().st_size:
        raise GenreModelsError(f"{path}: is said to unpack from {path.stat().st_size / 2**20:,.1f} to {unpacked / 2**20:,.0f} MiB, which no saved model does: it is not loaded")
