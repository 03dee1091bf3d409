"""From a source to a list of tracks: class folders, GTZAN's layout, several folders, FMA, a table, or the demo.

Looks at names and tables only; whether a file can be decoded is the scan's business. A track's id is ``CLASS/STEM`` (``CLASS/STEM@FOLDER``
where folders of a list hold the same one), of FMA the number of the track, as in ``000002``.
"""

from genre_models.corpus.opening import open_corpus
from genre_models.corpus.tracks import SUFFIXES, Corpus, Progress, Track

__all__ = ["SUFFIXES", "Corpus", "Progress", "Track", "open_corpus"]
