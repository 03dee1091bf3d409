"""A pretrained network that is none, of three tiny blocks with fixed weights, and tracks whose items went through it."""

from __future__ import annotations

import numpy as np

from tests.genre_models.test_training import Stripes

CUT = "block3_out"
BLOCKS = ("block1_pool", "block2_out", "block3_out")


def whole_trunk():
    """Base features [16, 24, 1] -> the unpooled cut, always with the same weights."""
    import keras
    from keras import layers

    inputs = keras.Input((16, 24, 1), dtype="uint8", name="base")
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    x = layers.Conv2D(6, 3, activation="relu", padding="same", name="block1_conv")(x)
    x = layers.MaxPooling2D(name="block1_pool")(x)
    for block, filters in (("block2", 6), ("block3", 5)):
        y = layers.Conv2D(filters, 3, padding="same", name=f"{block}_conv")(x)
        y = layers.BatchNormalization(name=f"{block}_norm")(y)
        y = layers.Dropout(0.2, name=f"{block}_drop")(y)
        x = layers.Activation("relu", name=f"{block}_out")(layers.Add(name="block2_add")([x, y]) if block == "block2" else y)
    model = keras.Model(inputs, x, name="trunk")
    rng = np.random.default_rng(0)
    model.set_weights([np.abs(w) + 0.3 * rng.random(w.shape) if "norm" in v.path else rng.normal(0, 0.3, w.shape)
                       for v, w in zip(model.weights, model.get_weights(), strict=True)])
    return model


class FakeTrunk:
    """As `genre_models.trunks.handle.TrunkHandle`."""

    def __init__(self, pooling="average", cut=CUT):
        import keras

        self.settings = {"trunk": "fake", "cut": cut, "pooling": pooling}
        model, self._cut = whole_trunk(), cut
        self.facts = {"layers": {}, "blocks": list(BLOCKS), "covers": CUT}
        for layer in model.layers[1:]:
            before = keras.Model(model.inputs, layer.output)
            tunable = sum(int(np.prod(w.shape)) for part in before.layers if "norm" not in part.name for w in part.weights)
            shape = list(layer.output.shape[1:])
            self.facts["layers"][layer.name] = {
                "shape": shape, "parameters": before.count_params(), "tunable": tunable, "gflops": tunable / 1e6,
            }

    def pool(self):
        from keras import layers

        return {"average": [layers.GlobalAveragePooling2D(name="pool")], "max": [layers.GlobalMaxPooling2D(name="pool")], "flat": []}[
            self.settings["pooling"]
        ]

    def whole_to(self, boundary):
        import keras

        model = whole_trunk()
        return keras.Model(model.inputs, model.get_layer(boundary).output, name="front")

    def whole(self):
        import keras

        model = self.whole_to(self._cut)
        x = model.output
        for layer in self.pool():
            x = layer(x)
        return keras.Model(model.inputs, x, name="whole")

    def tail(self, boundary, policy="float32"):
        import keras

        model = whole_trunk()
        part = keras.Model(model.get_layer(boundary).output, model.get_layer(self._cut).output)

        def rebuilt(layer):
            # As the handle does it: dropout of the trunk's own is off, since what it draws by is no part of a snapshot.
            config = layer.get_config() | {"trainable": "norm" not in layer.name} | ({"rate": 0.0} if isinstance(layer, keras.layers.Dropout) else {})
            return type(layer).from_config(config | ({} if isinstance(layer, keras.layers.InputLayer) else {"dtype": policy}))

        tail = keras.models.clone_model(part, clone_function=rebuilt)
        tail.name = "tail"
        tail.set_weights(part.get_weights())
        return tail


class Transferred(Stripes):
    """`Stripes` after the fake trunk. Copies are the item with a little added, by its number, before the trunk."""

    def __init__(self, trunk=None, model=None, **kwargs):
        super().__init__(**kwargs)
        self.trunk = trunk or FakeTrunk()
        self._kwargs, self._model = kwargs, model or self.trunk.whole()
        self.base, self._passed = self._x, {}
        self.input_shape = tuple(self._model.output.shape[1:])
        self.asked = []

    def _at(self, number):
        if number not in self._passed:
            x = np.clip(self.base.astype(int) + 20 * number, 0, 255).astype(np.uint8)
            self._model.jit_compile = False
            self._passed[number] = np.asarray(self._model.predict_on_batch(x)).astype(np.float16)
        return self._passed[number]

    def features(self, ids):
        return self._at(0)[self._rows(ids)]

    def copies(self, ids, numbers):
        self.asked += [*zip(ids, map(int, numbers))]
        return np.stack([self._at(int(number))[row] for row, number in zip(self._rows(ids), numbers, strict=True)])

    def at(self, boundary):
        return Transferred(self.trunk, self.trunk.whole_to(boundary), **self._kwargs)
