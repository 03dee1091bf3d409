"""Vectors of tracks for tests: a cloud for each class, whole tracks or several rows a track."""

from __future__ import annotations

import numpy as np


class Clouds:
    """`train` + `validation` tracks of three classes, `rows` vectors of `d` numbers each, most of whose variance is in a few directions."""

    labels = ("a", "b", "c")
    metric = "val_accuracy"
    trunk = None

    def __init__(self, cache_dir, train=60, validation=30, d=12, rows=1, dtype="float32", apart=1.5):
        rng = np.random.default_rng(3)
        n = train + validation
        self._targets = np.arange(n) % 3
        self.input_shape, self.cache_dir, self._rows = (d,), str(cache_dir), rows
        centres = apart * rng.normal(size=(3, d))
        spread = np.geomspace(3, 0.05, d)
        self._x = (centres[self._targets].repeat(rows, axis=0) + spread * rng.normal(size=(n * rows, d)) + 5).astype(dtype)
        ids = [f"t{number}" for number in range(n)]
        self.train_ids, self.validation_ids = tuple(ids[:train]), tuple(ids[train:])
        self.asked: list[list[str]] = []

    def items_of(self, ids):
        if self._rows == 1:
            return list(ids), np.arange(len(ids))
        return [f"{id}#{row}" for id in ids for row in range(self._rows)], np.repeat(np.arange(len(ids)), self._rows)

    def _at(self, item):
        id, _, row = item.partition("#")
        return int(id[1:]) * self._rows + int(row or 0)

    def features(self, ids):
        self.asked.append(list(ids))
        return self._x[[self._at(item) for item in ids]]

    def targets(self, ids):
        return self._targets[[int(item.partition("#")[0][1:]) for item in ids]]


def go(epoch, metrics, snapshot):
    return "continue"


class PixelTrunk(Clouds):
    """Vectors that come from images of 4 x 6 pixels, the 2 x 3 x 2 output of a small network laid out flat; its own `trunk` handle."""

    def __init__(self, cache_dir):
        super().__init__(cache_dir, d=12)
        rng = np.random.default_rng(5)
        self._images = rng.integers(0, 100, (len(self._targets), 4, 6, 1))
        for image, target in zip(self._images, self._targets):
            image[:, 2 * target : 2 * target + 2] += 120
        self._images = self._images.astype(np.uint8)
        self.trunk = self
        self._x = self.whole().predict_on_batch(self._images).reshape(len(self._images), -1)

    def images(self, ids):
        return self._images[[int(id[1:]) for id in ids]]

    def whole(self):
        import keras

        inputs = keras.Input((4, 6, 1), dtype="uint8")
        scaled = keras.layers.Rescaling(1 / 255, dtype="float32")(inputs)
        made = keras.initializers.RandomNormal(seed=1)
        return keras.Model(inputs, keras.layers.Conv2D(2, 2, strides=2, activation="relu", kernel_initializer=made)(scaled))
