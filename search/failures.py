"""When failures are a fault of the setting rather than of the configurations."""

from __future__ import annotations

from search.trial import End, Trial

#: So many failures in a row for the same reason are a fault of the setting.
SAME_FAILURES = 10
#: So many configurations refused in a row mean that the space holds hardly any that fits.
REFUSALS = 100


class Failures:
    """Watches how trials end.

    Attributes
    ----------
    reason : str or None
        Why the search should end itself.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._same: list[str] = []
        self._refusals = 0

    def went_well(self) -> None:
        """A trial trained and waits: neither failures nor refusals are in a row any more."""
        self._same.clear()
        self._refusals = 0

    def observe(self, trial: Trial, end: End) -> bool:
        """Take note of an end; True if the search should not go on."""
        self._refusals = self._refusals + 1 if end is End.REFUSED else 0
        if self._refusals >= REFUSALS:
            self.reason = f"{REFUSALS} configurations in a row were refused, the last because: {trial.reason}"
        if end is End.REFUSED or end is End.INTERRUPTED:
            return self.reason is not None
        if end.state != "FAIL":
            self.went_well()
            return self.reason is not None
        told = f"{end}: {trial.reason}"
        self._same = [*self._same, told] if self._same[-1:] == [told] else [told]
        if len(self._same) >= SAME_FAILURES:
            self.reason = f"{SAME_FAILURES} trials in a row failed for the same reason: {trial.reason}"
        return self.reason is not None
