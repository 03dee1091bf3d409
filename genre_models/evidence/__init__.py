"""What a model's answers look like, for people: confusion, reliability, its most confident mistakes with pictures and sound.

Written into a folder ``evidence/`` as files and ``index.json``, which a report shows without knowing what they are of. Which tracks may be shown is the caller's to
decide: development tracks at any time; held-out ones in a look alone, by the look itself.
"""

from genre_models.evidence.looks import read_looks
from genre_models.evidence.predictions import Predictions, read_predictions
from genre_models.evidence.validation import ValidationEvidence
from genre_models.evidence.writing import write_evidence, write_held_out

__all__ = ["Predictions", "ValidationEvidence", "read_looks", "read_predictions", "write_evidence", "write_held_out"]
