"""What a model said of one track, and of one that could not be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genre_models.calibration import scaled


@dataclass(frozen=True)
class Prediction:
    """One track.

    Attributes
    ----------
    name : str
        Its file as it was named, or its id in a table.
    labels : tuple of str
    p : np.ndarray [shape=(n_classes,)]
        Probabilities of the track, the mean of its parts'.
    parts : np.ndarray of float32 [shape=(n_parts, n_classes)]
        Of its windows, or of its rows in a table; never scaled by a temperature.
    """

    name: str
    labels: tuple[str, ...]
    p: np.ndarray
    parts: np.ndarray

    @property
    def predicted(self) -> str:
        return self.labels[self.p.argmax()]

    def best(self, k: int) -> list[tuple[str, float]]:
        """The `k` most probable classes, the first one first."""
        order = np.argsort(-self.p, kind="stable")[:k]
        return [(self.labels[number], float(self.p[number])) for number in order]

    def votes(self) -> dict[str, int]:
        """For how many of its parts each class was the most probable, the most votes first; classes without any are left out."""
        counts = np.bincount(self.parts.argmax(axis=1), minlength=len(self.labels))
        return {self.labels[number]: int(counts[number]) for number in np.argsort(-counts, kind="stable") if counts[number]}

    def at_temperature(self, temperature: float) -> Prediction:
        """The same with the track's probabilities scaled (`genre_models.calibration.scaled`); no class changes."""
        return Prediction(self.name, self.labels, scaled(self.p[None], temperature)[0], self.parts)


@dataclass(frozen=True)
class Unread:
    """A track that nothing can be said of, and why."""

    name: str
    reason: str
