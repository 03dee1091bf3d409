"""The registry of model families. Importing it loads no Keras, TensorFlow, librosa or scikit-learn.

A new family is one declaration module and one line here; its `module` has `estimate` and `fit` (docs/design.md, section 5). A new pretrained
network is one line in `genre_models.trunks.registry`, and is a family of its own.
"""

from __future__ import annotations

from genre_models.families.classical_declaration import CLASSICAL
from genre_models.families.cnn_declaration import CNN
from genre_models.families.declaration import Cost, Declared, Family
from genre_models.families.feedforward_declaration import FEEDFORWARD
from genre_models.families.transfer_declaration import TRANSFER

FAMILIES: dict[str, Family] = {family.name: family for family in (CNN, *TRANSFER, CLASSICAL, FEEDFORWARD)}

__all__ = ["FAMILIES", "Cost", "Declared", "Family"]
