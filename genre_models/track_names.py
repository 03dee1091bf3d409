"""Matching what users write for a track, in lists and tables, with track ids."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from genre_models.corpus import SUFFIXES

#: Of files that a corpus has not: a list may name what the images were made of. Numbers are part of a name.
_ANY_SUFFIX = re.compile(r"\.(?:[a-z]{2,5}|[a-z]{2}\d|m4a|7z)$", re.IGNORECASE)
_SUFFIXES = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)


class TrackNames:
    """The ids of a corpus, found by any of their usual spellings.

    Parameters
    ----------
    ids : iterable of str
        ``CLASS/STEM``, or where the corpus gives no class of its own ``STEM``.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        ids = list(ids)
        self._ids = {_composed(id): id for id in ids}
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name, id in self._ids.items():
            self._by_stem[name.rpartition("/")[2]].append(id)
        self._ids |= {id: id for id in ids}  # as it stands, an id is itself: two may differ in how their accents are written alone

    def find(self, text: str) -> str | None:
        """Find the id for ``CLASS/STEM``, also with any suffix, with folders before it, or without its class where that is unique.

        Ids without a class are found by their file as well, and FMA's also without their leading zeros.
        """
        given = "/".join(text.strip().replace("\\", "/").split("/")[-2:])
        # As it stands first: the last part of blues.00012 is no suffix.
        for candidate in dict.fromkeys(spelled for name in (given, _composed(given)) for spelled in (name, tidy(name), _ANY_SUFFIX.sub("", name))):
            if candidate in self._ids:
                return self._ids[candidate]
            alone = self._by_stem.get(candidate, ()) if "/" not in candidate else ()
            if len(alone) == 1:
                return alone[0]
            stem = candidate.rpartition("/")[2]
            for bare in (stem, stem.zfill(6)):
                if bare in self._ids:
                    return self._ids[bare]
        return None


def _composed(text: str) -> str:
    """Accents as part of their letters: a Mac takes them apart in the names of files."""
    return unicodedata.normalize("NFC", text)


def tidy(text: str) -> str:
    """Reduce a name to ``CLASS/STEM`` as well as that can be done without knowing the ids."""
    name = "/".join(text.strip().replace("\\", "/").split("/")[-2:])
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name
