"""The same recording in other bytes: encoded again, louder or softer, resized, or cut by a second or two.

A track's spectrogram, or its picture, becomes a short code of signs (`genre_models.fingerprints.codes`); codes of the same recording agree
far beyond chance at one shift in time. Blind to labels, like the scan, and like it over held-out files too: a code says whether two files
hold the same, and no features can be made from it.
"""

from genre_models.fingerprints.same_recording import Pair, SameRecordings, find_same_recordings

__all__ = ["Pair", "SameRecordings", "find_same_recordings"]
