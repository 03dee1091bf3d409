"""The task: corpora, splits, features, networks, scores, and the one held-out evaluation.

Does not know Ray, Optuna or CodeCarbon, and never imports ``search``. Importing this package loads nothing heavy.
"""
