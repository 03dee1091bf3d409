"""Matching what users write for a track, in lists and tables, with track ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from genre_models.corpus import SUFFIXES

_SUFFIXES = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)


class TrackNames:
    """The ids of a corpus, found by any of their usual spellings.

    Parameters
    ----------
    ids : iterable of str
        ``CLASS/STEM``, or where the corpus gives no class of its own ``STEM``.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = set(ids)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for id in self._ids:
            self._by_stem[id.rpartition("/")[2]].append(id)

    def find(self, text: str) -> str | None:
        """Find the id for ``CLASS/STEM``, also with any suffix, with folders before it, or without its class where that is unique.

        Ids without a class are found by their file as well, and FMA's also without their leading zeros.
        """
        name = "/".join(text.strip().replace("\\", "/").split("/")[-2:])
        # As it stands first: the last part of blues.00012 is no suffix.
        for candidate in (name, tidy(name), name.rpartition(".")[0]):
            if candidate in self._ids:
                return candidate
            alone = self._by_stem.get(candidate, ()) if "/" not in candidate else ()
            if len(alone) == 1:
                return alone[0]
            stem = candidate.rpartition("/")[2]
            for bare in (stem, stem.zfill(6)):
                if bare in self._ids:
                    return bare
        return None


def tidy(text: str) -> str:
    """Reduce a name to ``CLASS/STEM`` as well as that can be done without knowing the ids."""
    name = "/".join(text.strip().replace("\\", "/").split("/")[-2:])
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name
