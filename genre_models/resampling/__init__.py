"""What scores of items are worth that come in groups: intervals, paired tests, and the price of having chosen the best.

Tracks of one artist are told right or wrong together, so a group of them says less than as many strangers would; everything here counts by
groups. Pure functions of NumPy arrays: knows neither tracks nor classes nor trials. SciPy is imported inside functions.

Conventions: scores have one value an item; `groups` is an integer an item, or None where each item stands alone. All intervals are 95 %. Where
an interval would not be valid, it is None.
"""
