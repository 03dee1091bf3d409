"""What a space's fingerprint is made of, and what may change between runs of a study."""

from __future__ import annotations

import json
from pathlib import Path

from search.fingerprint import diff_fingerprints, grown
from tests.search.test_config import load, net, problems_of


def test_the_fingerprint_survives_json_and_ignores_what_may_change(tmp_path: Path) -> None:
    one = load(tmp_path, "families: {net: {depth: {int: [2, 5]}}}").fingerprint_parts()
    text = "study: x\nseed: 4\nworkers: 3\nengine: inline\nsampler: random\nbudget: {trials: 7, minutes: 3}\nresources: {cpus: 2}\n"
    other = load(tmp_path, text + "families: {net: {min_trials: 9, depth: {int: [2, 5]}, rate: 1e-3}}").fingerprint_parts()
    assert json.loads(json.dumps(one)) == one == other


def test_trials_of_another_backend_are_others_and_studies_of_before_there_was_a_choice_ran_on_tensorflow(tmp_path: Path) -> None:
    config, torch = load(tmp_path, "families: {net: {}}"), load(tmp_path, "backend: torch\nfamilies: {net: {}}")
    file = config.fingerprint_parts()
    before = {key: value for key, value in file.items() if key != "backend"}
    assert diff_fingerprints(grown(before, file, config.fingerprint_defaults()), file) == []
    told = diff_fingerprints(grown(before, torch.fingerprint_parts(), torch.fingerprint_defaults()), torch.fingerprint_parts())
    assert told == ["backend: study has tensorflow, file has torch"]
    assert diff_fingerprints(torch.fingerprint_parts(), file) == ["backend: study has torch, file has tensorflow"]
    (problem,) = problems_of(tmp_path, "backend: theano\nfamilies: {net: {}}")
    assert problem.endswith('backend: found "theano"; known: tensorflow, torch, jax')


def test_the_fingerprint_tells_texts_from_numbers(tmp_path: Path) -> None:
    """A width of 3 and a list of one width are both written 3, but no value is written as another kind."""
    parts = net(tmp_path, "masked: {choice: [true, false]}", "mask: {int: [0, 9]}").fingerprint_parts()["families"]["net"]
    assert parts["mask"] == "int 0..9 when masked is true, else 5"
    assert (parts["layers"], parts["pool"], parts["depth"]) == ('""', "2-2", "3")


def test_differences_name_key_and_both_sides(tmp_path: Path) -> None:
    study = load(tmp_path, "families: {net: {depth: {int: [2, 5]}}, tree: {}}").fingerprint_parts()
    file = load(tmp_path, "scheduler: none\nfeatures: {bands: 32}\nfamilies: {net: {depth: {int: [2, 4]}}}").fingerprint_parts()
    assert diff_fingerprints(study, file) == [
        "families.net.depth: study has int 2..5, file has int 2..4",
        "families.net.features.bands: study has 64, file has 32",
        "families.tree: only the study has it",
        "features.bands: study has 64, file has 32",
        "scheduler: study has asha, file has none",
    ]
    assert diff_fingerprints(study, study) == []


def test_a_parameter_that_came_later_keeps_no_old_study_from_going_on(tmp_path: Path) -> None:
    config = load(tmp_path, "families: {net: {depth: {int: [2, 5]}}}")
    file = json.loads(json.dumps(config.fingerprint_parts()))
    study = json.loads(json.dumps(file))
    del study["families"]["net"]["rate"]
    assert grown(study, file, config.fingerprint_defaults()) == file
    changed = load(tmp_path, "families: {net: {depth: {int: [2, 5]}, rate: 0.05}}")
    file = changed.fingerprint_parts()
    assert diff_fingerprints(grown(study, file, changed.fingerprint_defaults()), file) == ["families.net.rate: study has 0.001, file has 0.05"]
