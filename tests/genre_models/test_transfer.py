"""Transfer heads and fine-tuning, on a tiny trunk: cost, both phases, snapshots in either, and the whole model on file."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from genre_models.errors import ConfigurationRefused
from genre_models.families import transfer
from genre_models.families.transfer_declaration import TRANSFER
from tests.genre_models.fake_trunk import CUT, FakeTrunk, Transferred
from tests.genre_models.test_training import Stripes, curve, go

DEFAULTS = TRANSFER[0].defaults() | {"cut": CUT}
SMALL = DEFAULTS | {"head_units": "8", "batch_size": 8, "learning_rate": 1e-2}
TUNED = SMALL | {"fine_tune_blocks": 1, "fine_tune_after": 2, "fine_tune_factor": 0.1}


@cache
def trunk_of(pooling="average"):
    return FakeTrunk(pooling)


@pytest.fixture(scope="module")
def data():
    return Transferred(trunk_of())


def run(params, data, *, epochs=4, report=go, seed=7, **kwargs):
    return transfer.fit(params, data, epochs=epochs, seed=seed, report=report, **kwargs)


def cost(params, data):
    return transfer.estimate(params, data.input_shape, 3, trunk=data.trunk.facts)


# Declarations and cost


def test_there_is_a_family_for_each_trunk_and_its_first_cut_is_the_default():
    from genre_models.trunks.registry import TRUNKS

    assert [family.name for family in TRANSFER] == list(TRUNKS) and {"vgg16", "resnet50", "mobilenet", "efficientnet_b0"} <= set(TRUNKS)
    for family in TRANSFER:
        assert family.defaults()["cut"] == TRUNKS[family.name].cuts[0] and family.inputs == "trunk" and family.has_epochs


@pytest.mark.parametrize("change", [{}, {"head_units": "", "dropout": 0.0}, {"head_units": "3-7", "batch_norm": True}, {"pooling": "flat"}])
@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_parameters_are_exactly_what_keras_trains(change, blocks):
    from genre_models.families.transfer_network import Networks

    params = TUNED | {"fine_tune_blocks": blocks} | change
    data = Transferred(trunk_of(params["pooling"]), train=6, validation=3)
    begin = transfer.boundary_of(params, data.trunk.facts)
    networks = Networks(data, begin)
    built = networks.head(params, data.input_shape, 3, input_dtype="float16", seed=0)
    if begin is not None:
        built = networks.with_tail(built, data.at(begin))
    for model in (built.core, built.trainer):
        assert sum(int(np.prod(variable.shape)) for variable in model.trainable_variables) == cost(params, data).parameters
    assert (built.settler is not None) == ("batch_norm" in change)


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "mobilenet", "efficientnet_b0"])
def test_real_trunks_have_blocks_to_train_and_their_sizes(name):
    from genre_models.trunks.facts import facts_of
    from genre_models.trunks.network import symbolic_network
    from genre_models.trunks.registry import TRUNKS

    network = symbolic_network(TRUNKS[name], 64, False)
    facts = facts_of(network, TRUNKS[name].blocks)
    params = SMALL | {"cut": TRUNKS[name].cuts[0], "fine_tune_blocks": 2, "head_units": ""}
    channels = facts["layers"][params["cut"]]["shape"][-1:]
    begin = transfer.boundary_of(params, facts)
    found, head = transfer.estimate(params, channels, 8, trunk=facts).parameters, (channels[0] + 1) * 8
    assert (begin, found - head) == REAL_TAILS[name]


REAL_TAILS = {  # two blocks before the first cut, convolution by convolution
    "vgg16": ("block3_pool", 9 * (256 + 5 * 512) * 512 + 6 * 512),
    "resnet50": ("conv4_block5_out", (1024 + 1) * 256 + (9 * 256 + 1) * 256 + (256 + 1) * 1024 + (1024 + 1) * 512 + (9 * 512 + 1) * 512),
    "mobilenet": ("conv_pw_10_relu", 2 * 9 * 512 + 512 * 512 + 512 * 1024),
    "efficientnet_b0": ("block6d_add", (192 + 9 + 320) * 1152 + (1152 + 1) * 48 + (48 + 1) * 1152 + 320 * 1280),
}


def test_cost_by_hand_and_monotone(data):
    head = cost(SMALL, data)
    assert head.parameters == (5 + 1) * 8 + (8 + 1) * 3 and head.gflops == pytest.approx(2 * (5 * 8 + 8 * 3) / 1e9)
    tuned = cost(TUNED, data)
    assert tuned.parameters - head.parameters == 9 * 6 * 5 + 5  # one convolution, its batch norm is not trained
    assert tuned.gflops > head.gflops and tuned.memory_mib > head.memory_mib
    assert cost(TUNED | {"fine_tune_blocks": 2}, data).memory_mib > tuned.memory_mib


def test_too_many_blocks_are_refused_before_anything_is_built(data):
    for call in (cost, run):
        with pytest.raises(ConfigurationRefused, match="fine_tune_blocks: 3 blocks before block3_out .* only 2") as refused:
            call(TUNED | {"fine_tune_blocks": 3}, data)
        assert refused.value.reason_code == "refused"


# The head


def test_channels_are_standardised_and_dead_ones_do_not_explode(data):
    from genre_models.moments import channel_moments

    x = data.features(data.train_ids).astype(np.float64)
    mean, variance = channel_moments(data)
    np.testing.assert_allclose(mean, x.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(variance, np.maximum(x.var(axis=0), 1e-4 * x.var(axis=0).mean()), rtol=1e-4)
    maps = data.at("block2_out")
    x = maps.features(maps.train_ids).astype(np.float64).var(axis=(0, 1, 2))
    np.testing.assert_allclose(channel_moments(maps)[1], np.maximum(x, 1e-4 * x.mean()), rtol=1e-4)

    class Dead:
        train_ids, input_shape = ("0", "1", "2"), (2,)

        def features(self, ids):
            return np.array([[float(id), 0.0] for id in ids], np.float16)

    assert channel_moments(Dead())[1].tolist() == pytest.approx([2 / 3, 1e-4 / 3])


def test_the_head_learns_and_the_saved_model_takes_base_features(tmp_path):
    import keras

    data = Transferred(trunk_of(), train=60, validation=10)
    fitted = run(SMALL, data, epochs=25)
    p = fitted.predict(data.validation_ids)
    assert fitted.history[fitted.best_epoch - 1]["val_accuracy"] >= 0.8 and p.shape == (10, 3)
    fitted.save(tmp_path)
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    base = data.base[data._rows(data.validation_ids)]
    np.testing.assert_allclose(loaded.predict_on_batch(base), p, atol=5e-3)  # the cache is in float16


def test_an_epoch_holds_items_and_their_cached_copies_with_their_targets(data):
    from genre_models.training_items import TrainingItems

    data.asked.clear()
    made = TrainingItems(data, SMALL | {"copies": 2, "batch_size": 7}, 3)
    items, targets = map(np.concatenate, zip(*made.batches(1)))
    assert made.n == 63 and items.dtype == np.float16
    assert sorted(data.asked) == sorted((id, number) for id in data.train_ids for number in (1, 2))
    expected = np.concatenate([data.features(data.train_ids), *(data.copies(data.train_ids, [number] * 21) for number in (1, 2))])
    assert {row.tobytes() for row in items} == {row.tobytes() for row in expected}
    of = {row.tobytes(): target for row, target in zip(expected, np.tile(data.targets(data.train_ids), 3))}
    assert [of[row.tobytes()] for row in items] == targets.argmax(axis=1).tolist()


# Fine-tuning


def test_the_second_phase_begins_where_the_first_ends_and_unfreezes_the_last_block(data):
    """With next to no learning rate it goes on scoring as the first did; the rates used are told."""
    fitted = run(TUNED | {"fine_tune_factor": 1e-3, "dropout": 0.0, "optimizer": "sgd", "learning_rate": 1e-4}, data)
    assert [epoch["learning_rate"] for epoch in fitted.history] == pytest.approx([1e-4, 1e-4, 1e-7, 1e-7])
    losses = [epoch["val_loss"] for epoch in fitted.history]
    assert losses[2:] == pytest.approx([losses[1]] * 2, abs=2e-3)
    trained = {variable.path.split("/")[-2] for variable in fitted.core.trainable_variables}
    assert trained == {"block3_conv", "head_dense1", "head_output"}


def test_the_final_retrain_replays_rates_and_changes_the_block_but_not_its_batch_norm():
    data = Transferred(trunk_of(), validation=0)  # the weights are then those of the last epoch
    fitted = run(TUNED | {"schedule": "plateau"}, data, epochs=3, learning_rates=[0.02, 0.01, 0.005])
    assert [epoch["learning_rate"] for epoch in fitted.history] == [0.02, 0.01, 0.005]
    assert fitted.best_epoch == 3 and fitted.parameters == cost(TUNED, data).parameters
    before, after = data.trunk.tail("block2_out"), fitted.core.get_layer("tail")
    assert not np.array_equal(after.get_layer("block3_conv").get_weights()[0], before.get_layer("block3_conv").get_weights()[0])
    for found, expected in zip(after.get_layer("block3_norm").get_weights(), before.get_layer("block3_norm").get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_nothing_is_fine_tuned_where_training_ends_by_then(data):
    fitted = run(TUNED | {"fine_tune_after": 4}, data)
    assert curve(fitted.history) == curve(run(SMALL, data).history)
    assert fitted.parameters == cost(SMALL, data).parameters


@pytest.mark.slow
def test_the_best_epoch_of_the_first_phase_survives_the_second(data, tmp_path):
    """The second is spoilt by its rate; the core then still predicts what the best epoch scored."""
    import keras

    from genre_models.metrics import log_loss

    data.metric = "val_loss"
    rates = [1e-2, 1e-2, 0.5, 0.5]
    fitted = run(TUNED, data, learning_rates=rates)
    data.metric = "val_accuracy"
    assert fitted.best_epoch <= 2 and [epoch["learning_rate"] for epoch in fitted.history] == rates
    p = fitted.predict(data.validation_ids)
    best = fitted.history[fitted.best_epoch - 1]["val_loss"]
    assert log_loss(data.targets(data.validation_ids), p) == pytest.approx(best, abs=2e-3)  # the cache rounds at another place now
    fitted.save(tmp_path)
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded.predict_on_batch(data.base[data._rows(data.validation_ids)]), p, atol=5e-3)


@pytest.mark.parametrize("pause", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_trial_paused_in_either_phase_goes_on_as_if_it_had_not_been(pause, data, tmp_path, undisturbed):
    def pauses(epoch, metrics, snapshot):
        snapshot(str(tmp_path))
        return "pause" if epoch == pause else "continue"

    assert run(ELABORATE, data, epochs=5, report=pauses).epochs == pause
    resumed = run(ELABORATE, data, epochs=5, resume=str(tmp_path))
    assert curve(resumed.history) == curve(undisturbed.history)
    assert resumed.best_epoch == undisturbed.best_epoch
    ids = data.validation_ids
    np.testing.assert_array_equal(resumed.predict(ids), undisturbed.predict(ids))


ELABORATE = TUNED | {
    "fine_tune_blocks": 2, "fine_tune_factor": 0.5, "optimizer": "adamw", "weight_decay": 1e-2, "schedule": "plateau",
    "plateau_patience": 1, "early_stopping": True, "early_stopping_patience": 4, "batch_norm": True, "copies": 1,
}


@pytest.fixture(scope="module")
def undisturbed(data):
    return run(ELABORATE, data, epochs=5)


@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)])
def test_mixed_precision_trains_both_phases_and_saves_a_model_in_float32(precision, data, tmp_path):
    import keras

    from genre_models.keras_model import rewrite_in_float32

    fitted = run(TUNED | {"fine_tune_after": 1}, data, epochs=2, precision=precision)
    fitted.save(tmp_path)
    rewrite_in_float32(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert all(layer.compute_dtype == "float32" for layer in loaded.layers)
    p = loaded.predict_on_batch(data.base[data._rows(data.validation_ids)])
    np.testing.assert_allclose(p, fitted.predict(data.validation_ids), atol=0.05)


class ThroughMobileNet(Stripes):
    """`Stripes` after a real trunk with random weights, at 32 pixels."""

    def __init__(self, handle=None, cut="conv_pw_2_relu"):
        from genre_models.trunks.facts import facts_of
        from genre_models.trunks.handle import TrunkHandle
        from genre_models.trunks.network import symbolic_network
        from genre_models.trunks.registry import TRUNKS

        super().__init__(train=12, validation=6)
        settings = {"trunk": "mobilenet", "weights": "random", "sha256": None, "side": 32, "channels": "repeat", "pooling": "average"}
        if handle is None:
            facts = facts_of(symbolic_network(TRUNKS["mobilenet"], 32, False), TRUNKS["mobilenet"].blocks)
            handle = TrunkHandle(settings | {"cut": cut}, facts, self.input_shape, "uint8")
            model = handle.whole()
        else:
            model = handle.whole_to(cut)
        self.trunk, self.base = handle, self._x
        self._x = model.predict_on_batch(self.base).astype(np.float16)
        self.input_shape = self._x.shape[1:]

    def at(self, boundary):
        return ThroughMobileNet(self.trunk, boundary)


@pytest.mark.slow
def test_a_real_trunk_is_fine_tuned_and_saved_whole(tmp_path):
    import keras

    data, params = ThroughMobileNet(), SMALL | {"cut": "conv_pw_2_relu", "fine_tune_blocks": 1, "fine_tune_after": 1}
    fitted = run(params, data, epochs=2, learning_rates=[1e-3, 1e-3])
    assert fitted.parameters == cost(params, data).parameters == 9 * 64 + 64 * 128 + (128 + 1) * 8 + (8 + 1) * 3
    fitted.save(tmp_path)
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    p = fitted.predict(data.validation_ids)
    np.testing.assert_allclose(loaded.predict_on_batch(data.base[12:]), p, atol=5e-3)
