"""What `scripts/replicate.py` is made of: the trainings, their boxes of time, the claims, the verdicts, the page."""
