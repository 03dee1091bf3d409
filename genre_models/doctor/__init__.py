"""What is wrong with a corpus, before anything is searched on it: `examine` looks at everything, `short_notes` at what the scan has told."""

from genre_models.doctor.examination import Examination, examine
from genre_models.doctor.findings import Case, Finding
from genre_models.doctor.short import short_notes

__all__ = ["Case", "Examination", "Finding", "examine", "short_notes"]
