"""A saved model on files it has never seen: which files, their features by the code of training, and what the model says, in order.

Owns: the way from paths to `Prediction`; nothing is scored, cached or kept. Importing this package loads no framework.
"""

from __future__ import annotations

from genre_models.predict.classes import Prediction, Unread
from genre_models.predict.files import Source, list_sources
from genre_models.predict.items import predict_files

__all__ = ["Prediction", "Source", "Unread", "list_sources", "predict_files"]
