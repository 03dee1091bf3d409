"""What a study has spent over all its runs: seconds, epochs, energy; and what of that is still to be written."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from search.accounts import Accounts
from search.energy_section import EnergySettings
from search.roster import reported_epochs
from search.trial import Trial


class Spent:
    """Counts on from where the study's last run ended.

    Parameters
    ----------
    attrs : mapping
        The study's attributes.
    trials : iterable of Trial
        Of a study that was made before its epochs were counted.
    energy : EnergySettings or None

    Attributes
    ----------
    epochs : int
        Trained so far, also again after a loss, and in further folds.
    accounts : Accounts
        Costs of trials and of the whole search.
    """

    def __init__(self, attrs: Mapping[str, Any], trials: Iterable[Trial], energy: EnergySettings | None = None) -> None:
        self.epochs = int(attrs["epochs_trained"]) if "epochs_trained" in attrs else reported_epochs(trials)
        self.accounts = Accounts(energy, attrs.get("cost"))
        self._seconds_before = float(attrs.get("elapsed_seconds", 0.0))
        self._began: float | None = None
        self._written: dict[str, Any] = {}

    @property
    def seconds(self) -> float:
        """Seconds that drivers have searched; getting workers ready does not count."""
        return self._seconds_before + (0.0 if self._began is None else time.monotonic() - self._began)

    def begin(self) -> None:
        """The search begins: a worker is free for the first time."""
        if self._began is None:
            self._began = time.monotonic()
            self.accounts.start()

    def changed(self) -> dict[str, Any]:
        """Attributes of the study that are not as they were last written."""
        self.accounts.look()
        now = {"elapsed_seconds": self.seconds, "epochs_trained": self.epochs, "cost": self.accounts.total}
        return {key: value for key, value in now.items() if value is not None and value != self._written.get(key)}

    def written(self, attrs: Mapping[str, Any]) -> None:
        """These stand in the study now."""
        self._written |= attrs
