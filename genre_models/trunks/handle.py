"""A trunk in the hands of a family: its facts, and the networks it is made of. Keras is imported when one is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genre_models.trunks import facts as of_facts
from genre_models.trunks.registry import TRUNKS

if TYPE_CHECKING:
    import keras


class TrunkHandle:
    """What a family may ask of the trunk that its features come from.

    Parameters
    ----------
    settings : mapping
        ``trunk``, ``weights`` ("imagenet", "random" or a file), ``sha256`` (of the file, or None), ``side``, ``cut``, ``channels``,
        ``pooling`` ("average", "max", "flat"; of no effect where the cut is a vector).
    facts : mapping
        As `genre_models.trunks.facts.facts_of` gives them.
    base_shape : (height, width, channels)
        Of the base features.
    base_dtype : str
        As cached: "uint8" or "float16".
    normalise : {"unit", "item"}
        Of the base features.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        facts: Mapping[str, Any],
        base_shape: Sequence[int],
        base_dtype: Any,
        normalise: str = "unit",
    ) -> None:
        self.settings, self.facts, self._normalise = dict(settings), facts, normalise
        self._base_shape, self._base_dtype = tuple(int(side) for side in base_shape), str(base_dtype)

    def boundary(self, n: int) -> str:
        """The block end `n` blocks before the cut, from 1; ConfigurationRefused where there are not that many."""
        return of_facts.boundary(self.facts, self.settings["cut"], n)

    def whole(self) -> keras.Model:
        """Base features to what the store has of the cut (pooled, map or vector), in float32; nothing is trainable."""
        return self._from_base(self.settings["cut"], self.pool())

    def whole_to(self, boundary: str) -> keras.Model:
        """Base features to the map of a layer, in float32; nothing is trainable."""
        return self._from_base(boundary, [])

    def pool(self) -> list[keras.layers.Layer]:
        """Layers from the cut's own output to what the store has of it: one, or none for a map or a vector. New ones at each call."""
        from keras import layers

        pooling = self.settings["pooling"]
        if pooling == "flat" or len(self.facts["layers"][self.settings["cut"]]["shape"]) == 1:
            return []
        kind = layers.GlobalAveragePooling2D if pooling == "average" else layers.GlobalMaxPooling2D
        return [kind(dtype="float32", name="trunk_pool")]

    def tail(self, boundary: str, policy: str = "float32") -> keras.Model:
        """From the map of a layer to the cut's own output, not pooled: new layers with the trunk's weights, to be trained.

        Parameters
        ----------
        boundary : str
            As `boundary` gives it.
        policy : str
            Keras' dtype policy of the layers.

        Returns
        -------
        keras.Model
            Batch norm keeps the statistics and scales it came with, in training too (``trainable`` is off). Dropout of the trunk's own is
            off: its generators would be no part of a snapshot.
        """
        import keras

        network = self._network(self.settings["cut"])
        part = keras.Model(network.get_layer(boundary).output, network.output)

        def rebuilt(layer: keras.layers.Layer) -> keras.layers.Layer:
            config = layer.get_config() | {"dtype": policy, "trainable": not isinstance(layer, keras.layers.BatchNormalization)}
            if isinstance(layer, keras.layers.InputLayer):
                return keras.layers.InputLayer(batch_shape=config["batch_shape"], dtype="float32", name="boundary")
            return type(layer).from_config(config | ({"rate": 0.0} if isinstance(layer, keras.layers.Dropout) else {}))

        tail = keras.models.clone_model(part, clone_function=rebuilt)
        for layer in part.layers:
            if layer.weights:
                tail.get_layer(layer.name).set_weights(layer.get_weights())
        return tail

    def _network(self, cut: str) -> keras.Model:
        from genre_models.trunks.network import load_trunk

        settings = self.settings
        return load_trunk(settings["trunk"], settings["weights"], settings["side"], cut, settings.get("sha256"))

    def _from_base(self, cut: str, pool: Sequence[keras.layers.Layer]) -> keras.Model:
        import keras

        features = keras.Input(self._base_shape, dtype=self._base_dtype, name="features")
        x = from_base(features, self.settings, self._normalise, self._network(cut))
        for layer in pool:
            x = layer(x)
        model = keras.Model(features, x, name=self.settings["trunk"])
        model.trainable = False
        return model


def from_base(features: Any, settings: Mapping[str, Any], normalise: str, network: keras.Model) -> Any:
    """Apply front and network to base features (a symbolic tensor); the layers become those of one flat graph.

    What comes out is structured as the network's outputs are.
    """
    from genre_models.trunks.front import add_front

    preprocessing = TRUNKS[settings["trunk"]].preprocessing
    pixels = add_front(features, settings["channels"], normalise, settings["side"], preprocessing)
    return network.call(pixels)
