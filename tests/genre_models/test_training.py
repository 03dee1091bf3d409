"""The training loop: schedules and batches by hand-computed numbers, then tiny networks on 16 x 24 items."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_models.errors import GenreModelsError, SnapshotError, TrainingDiverged
from genre_models.families import FAMILIES, cnn
from genre_models.schedules import BestEpoch, EarlyStopping, LearningRate

SMALL = FAMILIES["cnn"].defaults() | {"depth": 2, "filters": 4, "batch_size": 8, "learning_rate": 1e-2}
AUGMENTED = SMALL | {"spec_augment": True, "frequency_mask": 4, "time_mask": 5, "time_shift": 0.2, "gain": 0.2, "noise": 0.05}


class Stripes:
    """Items whose class is where their bright band lies; 21 to train on and 10 to validate, so that batches do not come out even."""

    labels = ("low", "middle", "high")
    input_shape = (16, 24, 1)
    metric = "val_accuracy"

    def __init__(self, train=21, validation=10, dtype="uint8"):
        rng = np.random.default_rng(0)
        n = train + validation
        self._targets = np.arange(n) % 3
        x = rng.integers(0, 120, (n, *self.input_shape))
        for row, target in enumerate(self._targets):
            x[row, 5 * target : 5 * target + 5] += 100
        self._x = x.astype(np.uint8) if dtype == "uint8" else (x / 255).astype(dtype)
        ids = [f"t{row}" for row in range(n)]
        self.train_ids, self.validation_ids = tuple(ids[:train]), tuple(ids[train:])

    def _rows(self, ids):
        return [int(id[1:]) for id in ids]

    def features(self, ids):
        return self._x[self._rows(ids)]

    def targets(self, ids):
        return self._targets[self._rows(ids)]


def go(epoch, metrics, snapshot):
    return "continue"


def run(params=SMALL, data=None, *, epochs=3, report=go, seed=7, **kwargs):
    return cnn.fit(params, data or Stripes(), epochs=epochs, seed=seed, report=report, **kwargs)


def curve(history):
    """A history without what depends on the clock."""
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in history]


# Schedules


def rates(schedule, losses, **kwargs):
    rate = LearningRate(schedule, 0.1, len(losses), **kwargs)
    seen = []
    for epoch, loss in enumerate(losses, start=1):
        seen.append(rate.rate(epoch))
        rate.observe(loss)
    return seen


def test_constant_cosine_and_plateau():
    assert rates("constant", [1, 2, 3]) == [0.1] * 3
    assert rates("cosine", [1] * 4) == pytest.approx([0.1, 0.1 * (1 + math.sqrt(0.5)) / 2, 0.05, 0.1 * (1 - math.sqrt(0.5)) / 2])
    assert rates("plateau", [1, 0.9, 0.9, 0.95, 0.95, 0.9], factor=0.5, patience=2) == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.05, 0.05])


@settings(deadline=None)  # the first example may import TensorFlow, on a busy machine
@given(st.integers(1, 100))
def test_cosine_falls_and_stays_above_zero(epochs):
    seen = rates("cosine", [1.0] * epochs)
    assert seen == sorted(seen, reverse=True) and 0 < seen[-1] <= seen[0] == 0.1


def test_early_stopping_counts_epochs_without_improvement():
    stopping = EarlyStopping(True, "val_loss", 2)
    due = []
    for loss in (1.0, 0.8, 0.9, 0.7, 0.7, 0.8):
        stopping.observe({"val_loss": loss})
        due.append(stopping.is_due)
    assert due == [False, False, False, False, False, True]
    assert not EarlyStopping(False, "val_loss", 1, waited=9).is_due


def test_the_best_epoch_is_the_first_best():
    best = BestEpoch("val_accuracy")
    assert [best.observe(e, {"val_accuracy": v}) for e, v in enumerate((0.2, 0.5, 0.5, 0.4), start=1)] == [True, True, False, False]
    assert (best.epoch, best.value) == (2, 0.5)


def test_replay_needs_a_rate_for_each_epoch_and_a_plateau_needs_validation():
    with pytest.raises(GenreModelsError, match="2 were recorded for 3 epochs"):
        LearningRate.of(SMALL, 3, [0.1, 0.2], False)
    with pytest.raises(GenreModelsError, match="no validation tracks: give learning_rates"):
        LearningRate.of(SMALL | {"schedule": "plateau"}, 3, None, False)


# Batches


@settings(deadline=None)  # the first example may import TensorFlow, on a busy machine
@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 2**63), st.integers(1, 50))
def test_batches_cover_every_item_and_are_equally_large(n, batch_size, seed, epoch):
    from genre_models.batches import epoch_batches

    batches = epoch_batches(n, batch_size, seed, epoch)
    steps, rows = batches.shape
    assert rows <= batch_size and steps == math.ceil(n / batch_size)
    assert set(batches.ravel()) == set(range(n)) and batches.size - n < steps
    np.testing.assert_array_equal(batches, epoch_batches(n, batch_size, seed, epoch))


def test_order_differs_between_epochs_and_seeds():
    from genre_models.batches import epoch_batches

    orders = [epoch_batches(50, 50, seed, epoch).tolist() for seed in (0, 1) for epoch in (1, 2)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


# Training


def test_it_learns_and_its_best_weights_give_the_reported_scores(tmp_path):
    from genre_models.metrics import accuracy, log_loss

    data = Stripes(train=60, validation=10)
    fitted = run(SMALL, data, epochs=8)
    best = fitted.history[fitted.best_epoch - 1]
    p = fitted.predict(data.validation_ids)
    truth = data.targets(data.validation_ids)
    assert p.shape == (10, 3) and best["val_accuracy"] == max(epoch["val_accuracy"] for epoch in fitted.history) >= 0.8
    assert accuracy(truth, p) == best["val_accuracy"] and log_loss(truth, p) == pytest.approx(best["val_loss"], rel=1e-6)
    assert [epoch["epoch"] for epoch in fitted.history] == list(range(1, 9))
    assert fitted.parameters == cnn.estimate(SMALL, data.input_shape, 3).parameters
    assert set(fitted.phases) == {"build", "train", "validate", "report"}
    assert fitted.predict(()).shape == (0, 3)

    import keras

    fitted.save(tmp_path)
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded.predict_on_batch(data.features(data.validation_ids)), p, atol=1e-6)


@pytest.mark.slow
def test_a_repeated_trial_in_a_used_process_gives_the_same_curve():
    first = run(AUGMENTED)
    run(SMALL | {"optimizer": "sgd"}, epochs=1, seed=1)
    assert curve(run(AUGMENTED).history) == curve(first.history)
    assert curve(run(AUGMENTED, seed=8).history) != curve(first.history)


@pytest.mark.parametrize("optimizer", ["adamw", pytest.param("sgd", marks=pytest.mark.slow)])
def test_a_paused_trial_goes_on_as_if_it_had_not_been_paused(optimizer, tmp_path):
    params = AUGMENTED | {
        "optimizer": optimizer, "weight_decay": 1e-2, "schedule": "plateau", "plateau_patience": 1, "early_stopping": True,
        "early_stopping_patience": 3, "dense_units": 6, "dense_dropout": 0.2,
    }

    def pause_at_3(epoch, metrics, snapshot):
        snapshot(str(tmp_path))
        return "pause" if epoch == 3 else "continue"

    undisturbed = run(params, epochs=6)
    assert run(params, epochs=6, report=pause_at_3).epochs == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays-0003.npz", "state.json"]  # earlier ones are gone
    resumed = run(params, epochs=6, resume=str(tmp_path))
    assert curve(resumed.history) == curve(undisturbed.history)
    assert (resumed.best_epoch, resumed.stopped_early) == (undisturbed.best_epoch, undisturbed.stopped_early)
    ids = Stripes().validation_ids
    np.testing.assert_array_equal(resumed.predict(ids), undisturbed.predict(ids))
    np.testing.assert_array_equal(resumed.hits, undisturbed.hits)


@pytest.mark.parametrize(("optimizer", "decays"), [("adam", False), ("adamw", True), ("sgd", True), ("rmsprop", True)])
def test_decay_shrinks_kernels_and_nothing_else(optimizer, decays):
    import keras

    from genre_models.training import make_optimizer

    kernel, bias = (keras.Variable(np.ones(3, np.float32), name=name) for name in ("kernel", "bias"))
    made = make_optimizer(SMALL | {"optimizer": optimizer, "weight_decay": 0.1, "learning_rate": 0.1}, "float32")
    made.apply([keras.ops.zeros(3), keras.ops.zeros(3)], [kernel, bias])
    np.testing.assert_allclose(kernel, np.full(3, 1 - 0.01 * decays), rtol=1e-6)
    np.testing.assert_array_equal(bias, np.ones(3))


def test_a_snapshot_of_another_run_or_a_torn_one_is_refused(tmp_path):
    run(epochs=1, report=lambda epoch, metrics, snapshot: snapshot(str(tmp_path / "s")) or "stop")
    with pytest.raises(GenreModelsError, match="another run: seed was 7, now 8"):
        run(epochs=1, seed=8, resume=str(tmp_path / "s"))
    next((tmp_path / "s").glob("*.npz")).write_bytes(b"torn")
    with pytest.raises(GenreModelsError, match="no readable snapshot .* start the trial afresh"):
        run(epochs=1, resume=str(tmp_path / "s"))
    with pytest.raises(GenreModelsError, match="no readable snapshot"):
        run(epochs=1, resume=str(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda state: state.pop("identity"), "another version .'identity'"),
        (lambda state: state.update(identity=None), "another version"),
        (lambda state: state["rate"].update(warmup=3), "another version .*warmup"),
        (lambda state: state["stopping"].pop("patience"), "another version .*patience"),
        (lambda state: state["best"].update(second=2), "another version .*second"),
        (lambda state: state.pop("history"), "another version .'history'"),
        (lambda state: state["identity"]["params"].update(filters=6), r"network, network/0 is .3, 3, 1, 4., not .3, 3, 1, 6.: start"),
        (lambda state: state["identity"]["params"].update(depth=3), "another network, network/.* start the trial afresh"),
    ],
)
def test_a_snapshot_of_another_version_or_shape_is_refused_as_unreadable_ones_are(snapshot_of_one_epoch, tmp_path, spoil, message):
    folder = shutil.copytree(snapshot_of_one_epoch, tmp_path / "s")
    state = json.loads((folder / "state.json").read_text())
    spoil(state)
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(SnapshotError, match=message) as raised:
        run((state.get("identity") or {}).get("params", SMALL), epochs=1, resume=str(folder))
    assert raised.value.reason_code == "snapshot"


@pytest.fixture(scope="module")
def snapshot_of_one_epoch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("snapshot")
    run(epochs=1, report=lambda epoch, metrics, snapshot: snapshot(str(folder)) or "stop")
    return folder


def test_hits_of_every_epoch_are_kept_and_not_guessed_where_an_old_snapshot_lacks_them(snapshot_of_one_epoch, tmp_path):
    whole = run(epochs=3)
    assert whole.hits.shape == (3, 10)
    assert whole.hits.mean(axis=1).tolist() == pytest.approx([epoch["val_accuracy"] for epoch in whole.history])
    right = whole.predict(whole.data.validation_ids).argmax(axis=1) == whole.data.targets(whole.data.validation_ids)
    assert whole.hits[whole.best_epoch - 1].tolist() == right.tolist()
    folder = shutil.copytree(snapshot_of_one_epoch, tmp_path / "s")
    (stored,) = folder.glob("arrays-*.npz")
    with np.load(stored) as arrays:
        kept = {name: arrays[name] for name in arrays.files if name != "hits"}
    np.savez(stored, **kept)
    assert run(epochs=1, resume=str(folder)).hits is None
    assert run(epochs=1, data=Stripes(validation=0), learning_rates=[0.01]).hits is None


def test_a_stop_ends_training_and_keeps_what_there_is():
    fitted = run(epochs=9, report=lambda epoch, metrics, snapshot: "stop" if epoch == 2 else "continue")
    assert fitted.epochs == len(fitted.history) == 2 and not fitted.stopped_early and fitted.best_epoch in (1, 2)


def test_early_stopping_is_told_apart_from_a_stop():
    params = SMALL | {"early_stopping": True, "early_stopping_patience": 1, "early_stopping_monitor": "val_accuracy", "learning_rate": 1e-5}
    fitted = run(params, epochs=20)
    assert fitted.stopped_early and fitted.epochs < 20
    assert fitted.history[-1]["val_accuracy"] <= max(epoch["val_accuracy"] for epoch in fitted.history[:-1])


def test_the_metric_decides_which_epoch_is_best():
    data = Stripes()
    data.metric = "val_loss"
    fitted = run(SMALL, data, epochs=5)
    assert fitted.history[fitted.best_epoch - 1]["val_loss"] == min(epoch["val_loss"] for epoch in fitted.history)


def test_the_final_retrain_replays_learning_rates_without_validation():
    data = Stripes(validation=0)
    fitted = run(SMALL | {"schedule": "plateau", "early_stopping": True}, data, epochs=2, learning_rates=[0.02, 0.005])
    assert [epoch["learning_rate"] for epoch in fitted.history] == [0.02, 0.005]
    assert fitted.best_epoch == 2 and "val_loss" not in fitted.history[0]


def test_divergence_names_epoch_and_metric(monkeypatch):
    data = Stripes(dtype="float32")
    data._x[3] = np.nan
    with pytest.raises(TrainingDiverged, match="loss is nan at epoch 1, step|weights are not after epoch 1") as diverged:
        run(SMALL, data)  # which of the two it is depends on the processor's kernels
    assert diverged.value.reason_code == "nan"
    # Probabilities that are no numbers can't be had on every processor: some take the ReLU of a NaN for 0.
    monkeypatch.setattr("genre_models.training.predict", lambda network, data, ids, batch_size: np.full((len(ids), 3), np.nan))
    with pytest.raises(TrainingDiverged, match="val_loss is not finite at epoch 1"):
        run(SMALL, Stripes())


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_and_resumes(precision, tmp_path):
    data = Stripes(dtype="float16")
    run(SMALL, data, precision=precision, epochs=2, report=lambda epoch, metrics, snapshot: snapshot(str(tmp_path)) or "pause")
    fitted = run(SMALL, data, precision=precision, epochs=2, resume=str(tmp_path))
    assert fitted.epochs == 2 and fitted.predict(data.validation_ids).dtype == np.float32


def test_batch_norm_is_settled_on_clean_tracks_without_dropout():
    """By hand: what the first normalisation must hold are the mean and variance of what comes in, over all training tracks."""
    import keras

    params = AUGMENTED | {"dropout": 0.5, "dense_dropout": 0.5, "batch_size": 7}
    data = Stripes(train=32)  # two equal batches
    core = run(params, data, epochs=1).core
    coming_in = keras.Model(core.inputs, core.get_layer("pool1").output)
    coming_in.jit_compile = False
    x = coming_in.predict_on_batch(data.features(data.train_ids))
    norm = core.get_layer("batch_norm1")
    np.testing.assert_allclose(norm.moving_mean, x.mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, x.var(axis=(0, 1, 2)), rtol=0.05)  # a mean of two batches' variances
    assert norm.momentum == 0.9
    assert {layer.name: layer.rate for layer in core.layers if hasattr(layer, "rate")} == {
        "dropout1": 0.5, "dropout2": 0.5, "output_dropout": 0.5,
    }


def test_running_averages_are_left_alone_where_they_are_asked_for():
    import keras

    from genre_models.families.cnn_network import build

    for change, settles in (({}, True), ({"batch_norm_statistics": "running"}, False), ({"batch_norm": False}, False)):
        network = build(SMALL | change, (16, 24, 1), 3, input_dtype="uint8", seed=0)
        assert (network.settler is not None) == settles
    keras.utils.clear_session()


def test_one_shape_only_is_trained_and_predicted():
    """A second shape would be traced anew, which costs as much as many steps."""
    seen = set()
    data = Stripes()
    features = data.features

    def watched(ids):
        if len(ids) > 1:
            seen.add(len(ids))
        return features(ids)

    data.features = watched
    run(SMALL | {"batch_size": 8, "batch_norm_statistics": "running"}, data, epochs=2)
    assert seen == {7, 5}  # 21 = 3 x 7, 10 = 2 x 5
