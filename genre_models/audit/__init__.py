"""Can the sides of a split be told apart by what has nothing to do with music? If so, a score on one side is not of what was learned on the other.

`audit_split` asks a classifier that sees the scan's facts alone: lengths, loudness, formats, never features, and labels only where it is asked about classes.
"""

from genre_models.audit.audit import Answer, Audit, audit_split

__all__ = ["Answer", "Audit", "audit_split"]
