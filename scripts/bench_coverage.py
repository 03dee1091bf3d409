"""Do the intervals hold? Simulated validation tables whose truth is known.

    python scripts/bench_coverage.py             fixed models: accuracy, macro F1, log loss, recall and F1 of a class
    python scripts/bench_coverage.py chosen      the best of many: what its score is worth

A table: tracks of ten classes, as many of each; groups (artists) of one class; a model whose answers go together within a group. In each group the chances of
its answers are drawn from a Dirichlet distribution around the class's own, so that two tracks of a group agree as the given correlation says. The model's true scores follow from
those of the classes. Coverage is the part of the tables whose 95 % interval holds the truth; it should be 93 to 97 %. Beside it, what two simpler intervals do: Wilson's that
counts every track, and the percentile bootstrap over groups. What takes long (classes, bootstraps) is done on every fourth table.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout, installed or not

from genre_models.resampling.choosing import expect_chosen  # noqa: E402
from genre_models.resampling.intervals import mean_interval, proportion_interval  # noqa: E402
from genre_models.score_intervals import class_intervals, macro_f1_interval  # noqa: E402

CLASSES = 10
TRACKS = (60, 114, 200, 400, 800)
#: Tracks of a group (None: 1 to 10, all alike likely), and the correlation of answers within one.
GROUPS = ((1, 0.0), (None, 0.1), (None, 0.4), (3, 0.3), (10, 0.3))
RESAMPLES = 500
RIGHT, WRONG = (6.0, 1.0), (1.0, 6.0)  # beta distributions of the probability that the true class is given


def population(rng: np.random.Generator) -> np.ndarray:
    """Chances of each answer [shape=(CLASSES, CLASSES)], a row a class: some classes are hard, and each is taken for few others."""
    right = np.clip(rng.normal(rng.uniform(0.6, 0.85), 0.12, CLASSES), 0.15, 0.98)
    taken_for = rng.dirichlet(np.full(CLASSES - 1, 0.6), CLASSES)
    return np.array([np.insert(others * (1 - chance), label, chance) for label, (chance, others) in enumerate(zip(right, taken_for, strict=True))])


def draw(rng: np.random.Generator, chances: np.ndarray, n: int, size: int | None, correlation: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True classes, answers and groups of `n` tracks [each shape=(n,)]."""
    truth, answers, groups, number = [], [], [], 0
    for label, of_class in enumerate(np.bincount(np.arange(n) % CLASSES, minlength=CLASSES)):
        left = int(of_class)
        while left:
            members = min(left, size or int(rng.integers(1, 11)))
            own = chances[label]
            if correlation:
                drawn = rng.gamma(np.maximum(own * (1 - correlation) / correlation, 1e-9))
                own = drawn / drawn.sum()
            truth += [label] * members
            answers += list(rng.choice(CLASSES, members, p=own))
            groups += [number] * members
            left, number = left - members, number + 1
    return np.array(truth), np.array(answers), np.array(groups)


def f1_of(shares: np.ndarray) -> np.ndarray:
    """F1 of each class from shares of all tracks [shape=(..., CLASSES, CLASSES)], rows the truth."""
    both = shares.sum(axis=-1) + shares.sum(axis=-2)
    return np.divide(2 * np.diagonal(shares, axis1=-2, axis2=-1), both, out=np.zeros(both.shape), where=both > 0)


def percentile_bootstrap(rng: np.random.Generator, truth: np.ndarray, answers: np.ndarray, groups: np.ndarray) -> dict[str, np.ndarray]:
    """The textbook interval over groups, for comparison."""
    n_groups = int(groups[-1]) + 1
    tables = np.zeros((n_groups, CLASSES, CLASSES))
    np.add.at(tables, (groups, truth, answers), 1.0)
    weights = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=RESAMPLES)
    drawn = (weights @ tables.reshape(n_groups, -1)).reshape(RESAMPLES, CLASSES, CLASSES)
    accuracy = np.trace(drawn, axis1=1, axis2=2) / drawn.sum(axis=(1, 2))
    return {"accuracy": np.quantile(accuracy, [0.025, 0.975]), "macro F1": np.quantile(f1_of(drawn).mean(axis=1), [0.025, 0.975])}


def fixed_model(rng: np.random.Generator, n: int, size: int | None, correlation: float, whole: bool) -> Iterator[tuple[str, float, object]]:
    """One table: (which interval, truth, interval) of each; those that take long only where it is asked for the `whole`."""
    from scipy.special import digamma

    chances = population(rng)
    truth, answers, groups = draw(rng, chances, n, size, correlation)
    right = truth == answers
    shares = np.bincount(truth, minlength=CLASSES)[:, None] / n * chances
    accuracy, f1 = float(np.trace(shares)), f1_of(shares)
    losses = -np.log(np.where(right, rng.beta(*RIGHT, n), rng.beta(*WRONG, n)))
    mean_losses = [digamma(sum(shape)) - digamma(shape[0]) for shape in (RIGHT, WRONG)]
    yield "accuracy", accuracy, proportion_interval(right, groups)
    yield "macro F1", float(f1.mean()), macro_f1_interval(truth, answers, CLASSES, groups)
    yield "log loss", accuracy * mean_losses[0] + (1 - accuracy) * mean_losses[1], mean_interval(losses, groups)
    yield "accuracy, by tracks", accuracy, proportion_interval(right)
    if not whole:
        return
    of_class = class_intervals(truth, answers, CLASSES, groups)
    for label in range(CLASSES):
        yield "recall", float(chances[label, label]), of_class[label]["recall"]
        yield "F1 of a class", float(f1[label]), of_class[label]["f1"]
    simple = percentile_bootstrap(rng, truth, answers, groups)
    yield "accuracy, percentile", accuracy, simple["accuracy"]
    yield "macro F1, percentile", float(f1.mean()), simple["macro F1"]


def cover_fixed(tables: int, seed: int) -> None:
    """Print the coverage of each interval of a fixed model."""
    head, rows = [], []
    for n in TRACKS:
        for size, correlation in GROUPS:
            rng, inside, n_groups = np.random.default_rng(seed), defaultdict(list), 0
            for number in range(tables):
                for name, truth, interval in fixed_model(rng, n, size, correlation, whole=number % 4 == 0):
                    if interval is not None:
                        inside[name].append(interval[0] <= truth <= interval[1])
                    elif name not in inside:
                        inside[name] = []
            n_groups = len(set(draw(rng, population(rng), n, size, correlation)[2].tolist()))
            head = list(inside)
            told = [f"{100 * np.mean(inside[name]):.1f}" if inside[name] else "none" for name in head]
            rows.append(f"| {n} | {size or '1 to 10'} | {correlation:g} | {n_groups} | {' | '.join(told)} |")
            print(rows[-1], file=sys.stderr, flush=True)
    print(f"| tracks | of a group | correlation | groups | {' | '.join(head)} |\n|{'---|' * (len(head) + 4)}")
    print("\n".join(rows))


def cover_chosen(searches: int, seed: int) -> None:
    """Print what winners score, what they are worth in truth, what is estimated, and how often the intervals hold that."""
    print("| tracks | of a group | trials | epochs | trials differ | score | true | expected | expected's interval holds it | the score's own |\n|" + "---|" * 10)
    for n, size in ((60, 1), (114, 1), (114, 6), (400, 5)):
        for trials, epochs in ((40, 1), (5, 27), (40, 27)):
            for spread in (0.0, 0.05):
                rng = np.random.default_rng(seed)
                found = np.array([one_search(rng, n, size, trials, epochs, spread) for _ in range(searches)], dtype=float).mean(axis=0)
                told = " | ".join(f"{value:.3f}" for value in found[:3])
                print(f"| {n} | {size} | {trials} | {epochs} | ±{spread:g} | {told} | {100 * found[3]:.0f} % | {100 * found[4]:.0f} % |", flush=True)


def one_search(rng: np.random.Generator, n: int, size: int, trials: int, epochs: int, spread: float) -> tuple[float, ...]:
    """Score, truth, estimate, and whether the two intervals hold the truth, of the best epoch of the best of some trials.

    Whether a model tells an item right is a normal score above 0: what the model is worth, how hard the item and its group are for all, and chance.
    """
    from scipy.stats import norm

    groups = np.arange(n) // size
    hardness, of_group, of_trial, of_epoch = 0.8, 0.5 * (size > 1), 0.6, 0.5
    scale = float(np.sqrt(hardness**2 + of_group**2 + of_trial**2 + of_epoch**2))
    worth = norm.ppf(0.75) * scale + rng.normal(0, 3 * spread, (trials, 1)) + rng.normal(0, 1.2 * spread, (trials, epochs))
    items = rng.normal(0, hardness, n) + rng.normal(0, of_group, n)[groups]
    latent = worth[:, :, None] + items + rng.normal(0, of_trial, (trials, 1, n)) + rng.normal(0, of_epoch, (trials, epochs, n))
    hits, truths = latent > 0, norm.cdf(worth / scale)
    scores = hits.mean(axis=2)
    winner = int(scores.max(axis=1).argmax())
    epoch = int(scores[winner].argmax())
    truth, own = float(truths[winner, epoch]), proportion_interval(hits[winner, epoch], groups)
    found = expect_chosen([(table,) for table in hits], winner, [n], groups, resamples=300)
    return found.score, truth, found.expected, found.interval[0] <= truth <= found.interval[1], own[0] <= truth <= own[1]


def main() -> int:
    """Run the command."""
    p = argparse.ArgumentParser(prog="python scripts/bench_coverage.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", nargs="?", choices=("fixed", "chosen"), default="fixed")
    p.add_argument("--tables", type=int, metavar="N", help="simulated tables of each kind (1000), or searches (200)")
    p.add_argument("--seed", type=int, default=0, metavar="N")
    options = p.parse_args()
    if options.tables is not None and options.tables < 1:
        p.error(f"argument --tables: must be 1 or more, but got {options.tables}")
    if options.what == "fixed":
        cover_fixed(options.tables or 1000, options.seed)
    else:
        cover_chosen(options.tables or 200, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
