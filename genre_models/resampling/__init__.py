"""What scores of items are worth that come in groups: intervals, paired tests, and the price of having chosen the best.

Tracks of one artist are told right or wrong together, so a group of them says less than as many strangers would; everything here counts by
groups. Pure functions of NumPy arrays: knows neither tracks nor classes nor trials. SciPy is imported inside functions. Composition roots hand this
package to searches, which know it by `search.selection.Statistics` alone.

Conventions: scores have one value an item; `groups` is an integer an item, or None where each item stands alone. All intervals are 95 %. Where
an interval would not be valid, it is None.
"""

from genre_models.resampling.choosing import Chosen, expect_chosen, item_scores
from genre_models.resampling.intervals import mean_interval, proportion_interval
from genre_models.resampling.paired import Paired, compare_paired

__all__ = ["Chosen", "Paired", "compare_paired", "expect_chosen", "item_scores", "mean_interval", "proportion_interval"]
