"""A study as one page that needs no network: who won, how sure that is, what it cost, where it is wrong, and how to do it again.

Reads a study (`search.study_view.StudyView`) and what the composition root hands in: statistics, evidence folders, looks at held-out tracks, doubts about the data.
Owns the page. What is in the evidence it does not know.
"""

from search.report.gathering import gather_evidence
from search.report.writing import REPORT, write_report

__all__ = ["REPORT", "gather_evidence", "write_report"]
