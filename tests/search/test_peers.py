"""What another tool does, as it comes into the study: each trial once, with its own state and curve. What it can't do is said at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from search import run
from search.config import load_space
from search.errors import SearchError, StudyError
from search.location import locate
from search.peer_study import PeerOwner, PeerStudy
from search.peers import PEERS, require_possible
from search.rules import Limits, SpecParts
from search.space import ChoiceDomain, FamilySpace, IntDomain, Parameter
from search.study_view import read_study
from search.trial import End
from tests.search.declarations import FAMILIES, SECTIONS

SPACE = FamilySpace("net", (Parameter("depth", IntDomain(1, 6)), Parameter("kind", ChoiceDomain(("a", "b")))), {"depth": 3, "kind": "a"})


class Silent:
    """Nobody watches."""

    def __getattr__(self, name: str) -> Any:
        return lambda *told: None


class Opened:
    """A study as a driver of another tool opens it, again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "s").mkdir()
        self.owners: list[PeerOwner] = []

    def __call__(self, limits: Limits = Limits(), fingerprint: Mapping[str, Any] | None = None) -> PeerStudy:
        owner = PeerOwner(locate(self.folder, "s"), maximize=True, fingerprint=fingerprint or {"objective": {"metric": "val_accuracy"}})
        self.owners.append(owner)
        parts = SpecParts(9, 0, "float32", lambda family, sampled: SPACE.resolve(sampled), {"net": {}}, self.screen)
        study = PeerStudy(owner, {"net": SPACE}, parts, limits, "val_accuracy", Silent(), "keras-tuner")
        study.begin()
        return study

    @staticmethod
    def screen(spec: Mapping[str, Any]) -> dict[str, Any]:
        return {"parameters": 100 * spec["params"]["depth"], "gflops": 0.5, "memory_mib": 1.0}

    def killed(self) -> None:
        """What a driver leaves that is killed: everything written, nothing ended."""
        self.owners[-1].flush()
        self.owners[-1].storage.engine.dispose()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    found = Opened(tmp_path)
    yield found
    for owner in found.owners:
        owner.storage.engine.dispose()


def row(epoch: int, value: float) -> dict[str, float]:
    return {"epoch": epoch, "loss": 1.0, "accuracy": 0.5, "val_loss": 1 - value, "val_accuracy": value, "learning_rate": 1e-3, "seconds": 2.0}


def begin(study: PeerStudy, name: str, about: Mapping[str, Any] | None = None, depth: int = 2):
    sampled = {"depth": depth, "kind": "b"}
    return study.started(name, study.parts.spec("net", sampled, study.next_number()), sampled, about)


def test_trials_have_the_state_and_the_curve_that_the_tool_gave_them(opened: Opened, tmp_path: Path) -> None:
    study = opened()
    first = begin(study, "0000")
    for epoch, value in ((1, 0.3), (2, 0.5), (3, 0.4)):
        study.reported(first, row(epoch, value))
    study.ended(first, End.PRUNED, reason="round 0 is over", cost={"wall_seconds": 6.0, "cpu_seconds": 5.0, "peak_ram_mib": 100.0})
    on = begin(study, "0001", {"promoted": first.number, "initial_epoch": 3})
    for epoch, value in ((4, 0.6), (5, 0.55)):
        study.reported(on, row(epoch, value))
    study.ended(on, End.EARLY_STOP, outcome={"stopped_early": True})
    refused = begin(study, "0002", depth=6)
    study.failed(refused, "refused", "depth 6 does not fit")
    study.failed(begin(study, "0003"), "nan", "val_loss is nan at epoch 1")
    study.owner.close()

    view = read_study(tmp_path, "s")
    assert [(t.state, t.end) for t in view.trials] == [("PRUNED", "pruned"), ("COMPLETE", "early-stop"), ("PRUNED", "refused"), ("FAIL", "nan")]
    whole = view.trials[1]
    assert whole.reports == {4: 0.6, 5: 0.55} and whole.value == 0.6 and whole.params == {"family": "net", "net/depth": 2, "net/kind": "b"}
    assert [each["epoch"] for each in whole.outcome["history"]] == [1, 2, 3, 4, 5], "the final look needs the learning rate of every epoch that the weights saw"
    assert (whole.outcome["best_epoch"], whole.outcome["epochs"], whole.outcome["fit_seconds"], whole.outcome["parameters"]) == (4, 5, 10.0, 200)
    assert view.trials[0].outcome["cost"]["cpu_seconds"] == 5.0 and view.trials[0].outcome["value"] == 0.5
    assert list(view.trials[0].reported_at) == [1, 2, 3] and sorted(view.trials[0].reported_at.values()) == list(view.trials[0].reported_at.values())
    assert view.winner().number == 1 and whole.spec["peer"] == {"tool": "keras-tuner", "trial": "0001", "promoted": 0, "initial_epoch": 3}


def test_after_a_kill_the_tool_repeats_what_was_lost_and_nothing_twice(opened: Opened, tmp_path: Path) -> None:
    study = opened()
    done = begin(study, "a")
    for epoch in range(1, 10):
        study.reported(done, row(epoch, 0.1 * epoch))
    study.ended(done, End.FULL)
    begun = begin(study, "b")
    study.reported(begun, row(1, 0.2))
    opened.killed()

    again = opened()
    assert [t.end for t in again.owner.trials.values()] == ["full", "orphan"], "nothing is put in a queue: the tool decides what it takes up again"
    assert again.recorded("a", "net", {"depth": 2, "kind": "b"}).number == done.number
    assert again.recorded("a", "net", {"depth": 3, "kind": "b"}) is None, "another configuration under the same name is another trial"
    assert again.recorded("b", "net", {"depth": 2, "kind": "b"}) is None
    retry = begin(again, "b")
    assert retry.retry_of == begun.number and retry.root == begun.number
    stranger = begin(again, "a", depth=3)
    assert stranger.retry_of is None
    again.abandon("stopped in an epoch")
    again.owner.close()
    view = read_study(tmp_path, "s")
    assert [t.spec["peer"]["trial"] for t in view.trials] == ["a", "b", "b", "a"] and sum(t.counts for t in view.trials) == 1


def test_totals_hold_over_all_runs(opened: Opened) -> None:
    study = opened(Limits(trials=2, epochs=3))
    first = begin(study, "0")
    study.reported(first, row(1, 0.5))
    assert study.stop_reason is None and study.has_trials_left
    study.ended(first, End.PRUNED)
    second = begin(study, "1")
    assert not study.has_trials_left
    for epoch in (1, 2):
        study.reported(second, row(epoch, 0.5))
    assert study.stop_reason == "the budget of 3 epochs is used up"
    study.abandon("stopped in an epoch")
    assert second.end == "interrupted"
    opened.killed()
    assert opened(Limits(epochs=3)).stop_reason is not None
    opened.killed()
    assert opened(Limits(epochs=4)).stop_reason is None


def test_failures_in_a_row_end_the_search(opened: Opened) -> None:
    study = opened()
    for number in range(20):
        if study.stop_reason is None:
            study.failed(begin(study, str(number)), "exception", ValueError("no such thing"))
    assert "failed for the same reason: ValueError: no such thing" in study.failing and len(study.owner.trials) < 20


@pytest.mark.parametrize(
    ("text", "address", "said"),
    [
        ("repeats: 2", None, "repeats: found 2"),
        ("confirm: {top: 2}", None, "confirm: it confirms nothing"),
        ("warm_start: [other]", None, "warm_start: it begins from nothing"),
        ("storage: env:URL", None, "storage: its own state"),
        ("artifacts: elsewhere", None, "artifacts: it leaves none"),
        ("resources: {families: {net: {cpus: 2}}}", None, "resources.families"),
        ("resources: {custom: {fast: 1}}", None, "resources.custom"),
        ("", "auto", "--address: it runs on this machine alone"),
    ],
)
@pytest.mark.parametrize("engine", PEERS)
def test_what_a_tool_cant_do_is_one_error_that_names_the_key(tmp_path: Path, engine: str, text: str, address: str | None, said: str) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(f"engine: {engine}\n{text}\nfamilies: {{net: {{depth: {{int: [1, 3]}}}}}}\n")
    config = load_space(space, FAMILIES, SECTIONS)
    with pytest.raises(SearchError, match=said):
        require_possible(config, 1, address)
    ours = load_space(space, FAMILIES, SECTIONS, {"engine": "inline"})
    require_possible(ours, 1, address)


def test_folds_and_workers_are_refused_where_they_cant_be_had(tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("workers: 2\nfamilies: {net: {depth: {int: [1, 3]}}}\n")
    with pytest.raises(SearchError, match="data.validation: found 5 folds(.|\n)*workers: found 2"):
        require_possible(load_space(space, FAMILIES, SECTIONS, {"engine": "keras-tuner"}), 5, None)
    require_possible(load_space(space, FAMILIES, SECTIONS, {"engine": "ray-tune"}), 1, None)


def test_a_study_of_one_tool_is_not_gone_on_with_by_another(opened: Opened, tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("families: {net: {depth: {int: [1, 3]}}}\n")
    parts = {engine: load_space(space, FAMILIES, SECTIONS, {"engine": engine}) for engine in ("ray", "inline", *PEERS)}
    assert parts["ray"].fingerprint_parts() == parts["inline"].fingerprint_parts()
    opened(fingerprint=parts["keras-tuner"].fingerprint_parts())
    opened.killed()
    with pytest.raises(StudyError, match="engine: study has keras-tuner, file has ray or inline"):
        opened(fingerprint=parts["ray"].fingerprint_parts())
    with pytest.raises(StudyError, match="engine: study has keras-tuner, file has ray-tune"):
        opened(fingerprint=parts["ray-tune"].fingerprint_parts())


def test_a_study_of_before_there_were_other_tools_is_gone_on_with(opened: Opened, tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("families: {net: {depth: {int: [1, 3]}}}\n")
    config = load_space(space, FAMILIES, SECTIONS)
    before = {key: part for key, part in config.fingerprint_parts().items() if key != "engine"}
    opened(fingerprint=before)
    opened.killed()
    owner = PeerOwner(locate(tmp_path, "s"), maximize=True, fingerprint=config.fingerprint_parts(), defaults=config.fingerprint_defaults())
    opened.owners.append(owner)
    with pytest.raises(StudyError, match="engine: study has ray or inline, file has ray-tune"):
        other = load_space(space, FAMILIES, SECTIONS, {"engine": "ray-tune"})
        PeerOwner(locate(tmp_path, "s"), maximize=True, fingerprint=other.fingerprint_parts(), defaults=config.fingerprint_defaults())


@pytest.mark.parametrize(
    ("families", "said"),
    [
        ("classical: {model: rbf_svm}", "families.classical: it trains no Keras network"),
        ("cnn: {mixup: {float: [0.0, 0.4]}}", "families.cnn.mixup: model.fit on arrays has no such thing; it must be 0"),
        ("cnn: {segments: {choice: [1, 5]}}", "families.cnn.segments"),
        ("cnn: {depth: 2, features: {segments: 5}}", "features.segments: found 5"),
    ],
)
def test_the_command_refuses_what_model_fit_has_not(tmp_path: Path, capsys: pytest.CaptureFixture[str], families: str, said: str) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(f"families:\n  {families}\n")
    assert run.main(["--space", str(space), "--engine", "keras-tuner", "--studies-dir", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"engine keras-tuner can't do that:\n{said}" in told and told.startswith("error: ")
    assert not (tmp_path / "space").exists()


def test_a_trial_of_kerastuner_is_not_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("families: {cnn: {depth: {int: [1, 2]}}}\n")
    assert run.main(["--space", str(space), "--engine", "keras-tuner", "--replay", "0", "--studies-dir", str(tmp_path)]) == 2
    assert "Keras' fit trained it" in capsys.readouterr().err
