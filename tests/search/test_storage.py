"""What we write with our own statements, read by Optuna itself."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from search import storage as module
from search.errors import StudyError
from search.storage import StudyStorage

PARAMS = {
    "family": ("cnn", CategoricalDistribution(("cnn", "svm"))),
    "cnn/rate": (0.01, FloatDistribution(1e-5, 1.0, log=True)),
    "cnn/depth": (3, IntDistribution(2, 5)),
    "cnn/augment": (True, CategoricalDistribution((True, False))),
}


@pytest.fixture
def opened(tmp_path: Path) -> tuple[StudyStorage, int, str]:
    storage = StudyStorage(tmp_path / "study.db")
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    return storage, study._study_id, f"sqlite:///{tmp_path}/study.db"


def test_a_whole_trial_reads_back_through_stock_optuna(opened: tuple[StudyStorage, int, str]) -> None:
    storage, study_id, url = opened
    trial_id, number = storage.insert_trial(study_id, TrialState.RUNNING, PARAMS, {"spec": {"seed": 3}}, number=0)
    storage.write_trial(trial_id, {1: 0.2, 2: 0.4})
    storage.write_trial(trial_id, {3: 0.3}, {"end": "full", "spec": {"seed": 4}}, TrialState.COMPLETE, 0.4)
    (read,) = optuna.load_study(study_name="s", storage=url).trials
    assert (read.number, read.state, read.value) == (number, TrialState.COMPLETE, 0.4)
    assert read.params == {name: value for name, (value, _) in PARAMS.items()}
    assert read.distributions == {name: distribution for name, (_, distribution) in PARAMS.items()}
    assert read.intermediate_values == {1: 0.2, 2: 0.4, 3: 0.3}
    assert read.user_attrs == {"spec": {"seed": 4}, "end": "full"}
    assert 0 <= read.duration.total_seconds() < 60


def test_a_waiting_trial_starts_with_its_parameters(opened: tuple[StudyStorage, int, str]) -> None:
    storage, study_id, url = opened
    trial_id, _ = storage.insert_trial(study_id, TrialState.WAITING, {}, {"spec": {}}, {"fixed_params": {"cnn/depth": 3}})
    study = optuna.load_study(study_name="s", storage=url)
    assert study.trials[0].state is TrialState.WAITING and study.trials[0].datetime_start is None
    storage.start_waiting(trial_id, PARAMS)
    read = optuna.load_study(study_name="s", storage=url).trials[0]
    assert read.state is TrialState.RUNNING and read.params["cnn/depth"] == 3 and read.datetime_start is not None


def test_a_number_that_another_writer_took_is_noticed(opened: tuple[StudyStorage, int, str]) -> None:
    storage, study_id, _ = opened
    storage.insert_trial(study_id, TrialState.RUNNING, {}, {"spec": {}}, number=0)
    with pytest.raises(StudyError, match="trial 0 should be next but 1 is"):
        storage.insert_trial(study_id, TrialState.RUNNING, {}, {"spec": {}}, number=0)


def test_every_connection_is_durable(opened: tuple[StudyStorage, int, str]) -> None:
    storage, _, _ = opened
    with storage.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "file_system_of", lambda folder: "nfs4")
    with pytest.raises(StudyError, match=r"network file system \(nfs4\).*--studies-dir"):
        StudyStorage(tmp_path / "study.db")
