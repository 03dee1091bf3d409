"""The L2 penalty of the optimizers: what PyTorch's Adam does with weight_decay, by its formulas."""

from __future__ import annotations

import numpy as np
import pytest

from genre_models.families import FAMILIES

PARAMS = FAMILIES["cnn"].defaults() | {"learning_rate": 0.01}


def stepped(params: dict, gradients: list[list[float]], start: list[float], precision: str = "float32") -> np.ndarray:
    """A weight after one step of the configured optimizer with each gradient."""
    import keras

    from genre_models.training import make_optimizer

    weight = keras.Variable(np.array(start, np.float32), name="kernel")
    optimizer = make_optimizer(params, precision)
    optimizer.build([weight])
    for gradient in gradients:
        optimizer.apply_gradients([(keras.ops.convert_to_tensor(np.array(gradient, np.float32)), weight)])
    return np.asarray(weight)


def adam_of_pytorch(gradients: list[list[float]], start: list[float], weight_decay: float, rate: float = 0.01, epsilon: float = 1e-7) -> np.ndarray:
    """torch.optim.Adam as its documentation writes it down."""
    weight, first, second = np.array(start), 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1):
        whole = np.array(gradient) + weight_decay * weight
        first, second = 0.9 * first + 0.1 * whole, 0.999 * second + 0.001 * whole**2
        weight = weight - rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + epsilon)
    return weight


def test_adam_with_a_penalty_steps_as_pytorchs_does() -> None:
    gradients, start = [[0.3, -0.2, 0.0], [0.1, 0.4, 0.0], [-0.5, 0.05, 0.0]], [1.0, -2.0, 0.5]
    found = stepped(PARAMS | {"l2_penalty": 0.1}, gradients, start)
    assert found == pytest.approx(adam_of_pytorch(gradients, start, 0.1), abs=1e-5)
    assert np.abs(found - adam_of_pytorch(gradients, start, 0.0)).max() > 1e-3, "the penalty can be told from none"


def test_without_a_penalty_and_in_settings_of_before_there_is_none() -> None:
    before = {name: value for name, value in PARAMS.items() if name != "l2_penalty"}
    for params in (PARAMS, before):
        assert stepped(params, [[0.0, 0.0]], [1.0, -2.0]).tolist() == [1.0, -2.0]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_every_optimizer_pulls_a_weight_without_gradient_to_zero(optimizer: str) -> None:
    found = stepped(PARAMS | {"optimizer": optimizer, "l2_penalty": 0.1}, [[0.0, 0.0]] * 5, [1.0, -2.0])
    assert (np.abs(found) < [1.0, 2.0]).all() and (np.sign(found) == [1, -1]).all()


def test_in_float16_the_penalty_is_on_the_weight_and_not_on_the_scaled_loss() -> None:
    scale = 2.0**15  # Keras' first loss scale
    found = stepped(PARAMS | {"l2_penalty": 0.1}, [[0.3 * scale, 0.0]], [1.0, -2.0], "float16")
    assert found == pytest.approx(adam_of_pytorch([[0.3, 0.0]], [1.0, -2.0], 0.1), abs=1e-5)


def test_a_penalty_of_a_network_keeps_its_weights_small_and_leaves_the_reported_loss_alone() -> None:
    from tests.genre_models.test_training import SMALL, run

    def size(fitted) -> float:
        return sum(float(np.square(weights).sum()) for weights in fitted.core.get_weights())

    free, held = run(SMALL), run(SMALL | {"l2_penalty": 0.1})
    assert size(held) < size(free)
    assert held.history[0]["loss"] < 3, "cross-entropy of three classes, without the penalty"
