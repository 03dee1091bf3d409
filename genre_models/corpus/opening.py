"""One call for every kind of source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genre_models.corpus.class_folders import check_layout, choose_kind, find_class_folders, list_tracks
from genre_models.corpus.fma import open_fma
from genre_models.corpus.several_folders import open_several
from genre_models.corpus.table_rows import open_table
from genre_models.corpus.tracks import Corpus, Progress, make_corpus
from genre_models.errors import CorpusError


def open_corpus(
    source: str | Sequence[str],
    input: str = "auto",
    cache_dir: str | Path = "studies/.cache",
    progress: Progress | None = None,
    *,
    subset: str | None = None,
) -> Corpus:
    """List the tracks of a source.

    Parameters
    ----------
    source : str or sequence of str
        ``demo``, a folder with one subfolder for each class, ``gtzan:FOLDER``, ``fma:FOLDER``, ``table:FILE``, or a list of folders and
        ``gtzan:FOLDER``.
    input : {"auto", "audio", "image", "table"}
        What to take where there is both; ``auto`` takes the larger set and says so in the notes.
    cache_dir : str or Path
        Where the demo is rendered to.
    progress : callable, optional
        ``progress(done, total, what)``.
    subset : {"small", "medium", "large", "full"}, optional
        Of FMA, and of nothing else.

    Returns
    -------
    Corpus

    Raises
    ------
    CorpusError
        If a folder is missing or empty, or there are fewer than two classes.
    """
    if not isinstance(source, str):
        return open_several(source, input)
    if source.startswith("fma:"):
        return open_fma(source, input, subset)
    if source.startswith("table:"):
        return open_table(source, input)
    if source == "demo":
        return _open_demo(input, Path(cache_dir), progress)
    found = find_class_folders(source)
    check_layout(found)
    kind, choice = choose_kind(str(found.root), found.counts, input)
    tracks, notes = list_tracks(found, kind)
    return make_corpus(source, found.root.name or str(found.root), kind, tracks, [*choice, *notes], [found.folders[kind]])


def _open_demo(input: str, cache_dir: Path, progress: Progress | None) -> Corpus:
    if input == "image":
        raise CorpusError(
            "data.input: image asks for pictures, but the demo corpus is audio; leave it at auto or give data.source a folder"
        )
    from genre_models import demo

    folder = demo.render_demo(cache_dir.expanduser().absolute() / f"demo-v{demo.DEMO_VERSION}-seed0", seed=0, progress=progress)
    tracks, notes = list_tracks(find_class_folders(str(folder)), "audio")
    return make_corpus("demo", "demo", "audio", tracks, notes, [folder])
