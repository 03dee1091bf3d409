"""The dashboard: optuna-dashboard over all studies of a folder, read-only and behind a guard. ``python -m search.dashboard``.

Owns optuna_dashboard and waitress. A study is opened read-only; what is shown beside its trials (a note, evidence) is laid over it and never written to it.
"""
