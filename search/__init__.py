"""A hyperparameter-search engine: studies, trials, families, parameters, epochs.

Does not know what a genre, a track or a network is, and never imports ``genre_models`` (``search/run.py``, the composition root, excepted).
Importing this package loads nothing heavy.
"""
