"""How long a worker may be silent."""

from __future__ import annotations

from search.patience import FACTOR, Patience


def test_a_trial_may_be_silent_as_long_as_its_own_epochs_say() -> None:
    patience = Patience(first_seconds=3600.0, later_seconds=600.0)
    patience.begun(7, 0.0)
    assert patience.limit(7) == 3600.0 and patience.overdue(3600.0) == {} and patience.overdue(3601.0) == {7: 3601.0}
    patience.heard(7, 100.0, took=5.0)
    assert patience.limit(7) == 600.0, "an epoch of five seconds twenty times is less"
    patience.heard(7, 200.0, took=100.0)
    assert patience.limit(7) == FACTOR * 100.0 and patience.overdue(2201.0) == {7: 2001.0}
    patience.forgive(500.0)
    assert patience.overdue(2201.0) == {}
    patience.ended(7)
    assert patience.overdue(1e9) == {}


def test_what_came_before_the_first_epoch_may_come_once_more() -> None:
    """Where fine-tuning begins, features of another layer are read, as those of the head were."""
    patience = Patience(first_seconds=3600.0, later_seconds=600.0)
    patience.begun(0, 0.0)
    patience.heard(0, 1500.0, took=2.0)
    patience.heard(0, 1502.0, took=2.0)
    assert patience.limit(0) == 1500.0, "but not twenty times that"
