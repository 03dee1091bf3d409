"""What the reports' own numbers say once they have intervals: calculations from what is printed there, nothing is run. Pure but for SciPy.

Rows are those of docs/presets.md. Where a report prints a share of known n, hits are whole numbers; where it prints two digits alone, the nearest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from genre_models.resampling.intervals import wilson


@dataclass(frozen=True)
class Share:
    """A published accuracy: hits of n test tracks."""

    row: str
    system: str
    hits: int
    n: int

    @property
    def accuracy(self) -> float:
        """As the report prints it."""
        return self.hits / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, 95 %."""
        return wilson(self.accuracy, self.n)


SHARES = {
    each.row: each
    for each in (
        Share("G02", "CNN from scratch", 110, 200),
        Share("G03", "VGG16 in two phases", 134, 200),
        Share("G18", "two convolutions, five folds together", 225, 505),
        Share("F05", "518 features, 512-256", 396, 800),
        Share("F13", "Kostrzewa CNN", 318, 800),
        Share("F15", "tuned by Hyperband", 312, 800),
        Share("F17", "Kostrzewa CNN, masked copies", 258, 800),
        Share("F18", "tuned, masked copies", 303, 800),
        Share("F27", "VGG16 block5_pool, RBF SVM", 793, 1596),
        Share("F28", "ResNet50 conv5, RBF SVM", 800, 1596),
    )
}
#: What is compared there: the better row, the other, what is concluded from it.
COMPARED = (
    ("G03", "G02", "fine-tuning is worth 12 points"),
    ("F28", "F27", "ResNet50 is the best network"),
    ("F13", "F15", "Hyperband did not help"),
    ("F13", "F17", "masked copies did harm"),
    ("F28", "F05", "networks beat handcrafted features"),
)
#: F03's nine sizes: units, validation accuracy, test accuracy, as printed.
SIZES = {
    "F04": ("512-512", 0.563, 0.487), "F05": ("512-256", 0.567, 0.495), "F06": ("256-256", 0.577, 0.482),
    "F07": ("256-64", 0.577, 0.484), "F08": ("128-64", 0.564, 0.489), "F09": ("64", 0.560, 0.465),
    "F10": ("128", 0.566, 0.475), "F11": ("256", 0.566, 0.479), "F12": ("512", 0.571, 0.472),
}  # fmt: skip
SIZES_TESTED_ON = 800
#: The lab report's kg of CO2 and seconds, and by how much printing rounds each.
EMISSIONS = {"G02": (0.000153, 287.6), "G03": (0.000389, 732.6)}
_KG_ROUNDED, _SECONDS_ROUNDED = 0.5e-6, 0.05


def difference_interval(first: Share, second: Share) -> tuple[float, float]:
    """95 % interval of the difference of two independent shares.

    Source
    ------
    R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17 (1998), method 10,
    doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I.
    """
    (low_1, high_1), (low_2, high_2) = first.interval, second.interval
    p, q = first.accuracy, second.accuracy
    return p - q - math.hypot(p - low_1, high_2 - q), p - q + math.hypot(high_1 - p, q - low_2)


def standard_errors(first: Share, second: Share) -> tuple[float, float]:
    """How many standard errors two independent shares differ by (pooled), and the two-sided p-value."""
    pooled = (first.hits + second.hits) / (first.n + second.n)
    z = (first.accuracy - second.accuracy) / math.sqrt(pooled * (1 - pooled) * (1 / first.n + 1 / second.n))
    return z, math.erfc(abs(z) / math.sqrt(2))


def most_disagreement(hits_apart: int, level: float = 0.05) -> int | None:
    """The most tracks that two systems, tested on the same ones, may answer differently for their difference in hits still to be told from chance.

    By McNemar's exact test, which sees these tracks alone; None where even no disagreement beyond the difference would do.
    """
    from scipy.stats import binom

    most, apart = None, abs(hits_apart)
    disagreed = apart
    while disagreed and 2 * float(binom.sf((disagreed + apart) // 2 - 1, disagreed, 0.5)) <= level:
        most, disagreed = disagreed, disagreed + 2
    return most


def best_of_normals(count: int) -> float:
    """Mean of the largest of so many independent standard normal numbers."""
    from scipy.integrate import quad
    from scipy.stats import norm

    return float(quad(lambda x: x * count * norm.pdf(x) * norm.cdf(x) ** (count - 1), -10, 10)[0])


@dataclass(frozen=True)
class BestOfNine:
    """What F03's table says of the choice among its sizes.

    Attributes
    ----------
    by_test, by_validation : float
        Test accuracy of the best by each; of ties in validation the mean.
    deviation : float
        Standard deviation of the nine test accuracies.
    by_chance : float
        That of one accuracy of so many tracks, had all nine the same true one.
    optimism : float
        By which the best of nine equally good, independently tested systems is above what it is worth.
    optimism_as_spread : float
        The same with the deviation that the nine have: on the same tracks they are told right together.
    correlation : float
        Of validation with test accuracy over the nine.
    """

    by_test: float
    by_validation: float
    deviation: float
    by_chance: float
    optimism: float
    optimism_as_spread: float
    correlation: float


def best_of_nine() -> BestOfNine:
    """From the table as printed."""
    validation, test = (np.array(column) for column in zip(*(row[1:] for row in SIZES.values()), strict=True))
    deviation = float(test.std(ddof=1))
    by_chance = math.sqrt(float(test.mean() * (1 - test.mean())) / SIZES_TESTED_ON)
    largest = best_of_normals(len(SIZES))
    by_validation = float(test[validation == validation.max()].mean())
    return BestOfNine(
        float(test.max()), by_validation, deviation, by_chance, largest * by_chance, largest * deviation, float(np.corrcoef(validation, test)[0, 1])
    )


def emission_rates() -> dict[str, tuple[float, float, float]]:
    """Milligrams of CO2 a second of each system, and the lowest and highest that the printed digits allow."""
    return {
        row: (
            1e6 * kg / seconds,
            1e6 * (kg - _KG_ROUNDED) / (seconds + _SECONDS_ROUNDED),
            1e6 * (kg + _KG_ROUNDED) / (seconds - _SECONDS_ROUNDED),
        )
        for row, (kg, seconds) in EMISSIONS.items()
    }
