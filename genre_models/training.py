"""The training loop of every Keras family: epochs, scores by track, the best weights, snapshots.

Our own loop over `train_on_batch` rather than `fit`: the order of the batches then follows from (seed, epoch) alone, a run can stop and
go on at any epoch, and on a CPU it is no slower. XLA stays off but for jax (`framework.runs_compiled`): measured on a CPU it made TensorFlow's steps about
6 times slower. Backend-neutral: no call goes to a backend itself. Importing this module imports Keras.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import keras
import numpy as np

from genre_models.batch_norm import FINAL_SETTLING_ITEMS, SETTLING_ITEMS, settle
from genre_models.errors import SnapshotError, TrainingDiverged
from genre_models.fitted import Data, Fitted, Network, Switch, predict
from genre_models.framework import DEFAULT_BACKEND, runs_compiled, seed_everything
from genre_models.l2_penalty import with_l2_penalty
from genre_models.metrics import accuracy, log_loss
from genre_models.schedules import BestEpoch, EarlyStopping, LearningRate
from genre_models.segments import items_of
from genre_models.snapshots import UNREADABLE, Report, read_snapshot, write_snapshot
from genre_models.training_items import TrainingItems


def hit_share(targets, scores):
    """The part of each target that is of the class scored highest [shape=(n,)]: for targets that are not mixed, whether it is hit."""
    return keras.ops.take_along_axis(targets, keras.ops.argmax(scores, axis=-1, keepdims=True), axis=-1)[..., 0]


def make_optimizer(params: Mapping[str, Any], precision: str) -> keras.optimizers.Optimizer:
    """The configured optimizer; in float16 with a dynamic loss scale. Biases and batch norm do not decay."""
    rate, name = params["learning_rate"], params["optimizer"]
    decay = params["weight_decay"] or None
    kind, settings = {
        "adam": (keras.optimizers.Adam, {}),
        "adamw": (keras.optimizers.AdamW, {"weight_decay": decay or 0.0}),
        "sgd": (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": decay}),
        "rmsprop": (keras.optimizers.RMSprop, {"weight_decay": decay}),
    }[name]
    made = with_l2_penalty(kind, params.get("l2_penalty", 0.0))(rate, **settings)
    if name != "adam" and decay:
        made.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return keras.optimizers.LossScaleOptimizer(made) if precision == "float16" else made


def train(
    build: Callable[..., Network],
    params: Mapping[str, Any],
    data: Data,
    *,
    epochs: int,
    seed: int,
    report: Report,
    resume: str | None = None,
    precision: str = "float32",
    learning_rates: Sequence[float] | None = None,
    switch: Switch | None = None,
) -> Fitted:
    """Train one configuration.

    Parameters
    ----------
    build : callable
        ``build(params, input_shape, n_classes, input_dtype=, seed=, precision=) -> Network``.
    params : mapping
        With the optimisation parameters of `families.cnn_declaration`.
    data : Data
        Without `validation_ids` nothing is scored and the last epoch is the best.
    epochs : int
        Full budget.
    seed : int
        Of weights, order, dropout and augmentation.
    report : callable
        ``report(epoch, metrics, snapshot)`` after each epoch; anything but ``"continue"`` ends training. ``snapshot(folder)`` writes the
        state after this epoch.
    resume : str, optional
        Folder of a snapshot of the same configuration; goes on at the next epoch.
    precision : {"float32", "bfloat16", "float16"}
    learning_rates : sequence of float, optional
        One for each epoch, in place of the schedule.
    switch : Switch, optional
        To a second phase. Its epochs count in the same budget, schedules and early stopping go on, the optimizer starts anew, and the best
        epoch is the best of both phases.

    Returns
    -------
    Fitted

    Raises
    ------
    TrainingDiverged
        The loss or a probability is not finite.
    SnapshotError
        The snapshot can't be read, or belongs to another run.
    GenreModelsError
        The learning rates do not suffice.
    """
    run = _Run(build, params, data, epochs, seed, precision, learning_rates, switch)
    if resume is not None:
        run.restore(resume)
    return run.go_on(report)


class _Run:
    """One training under way, and all of its state."""

    def __init__(
        self,
        build: Callable[..., Network],
        params: Mapping[str, Any],
        data: Data,
        epochs: int,
        seed: int,
        precision: str,
        learning_rates: Sequence[float] | None,
        switch: Switch | None,
    ) -> None:
        started = time.perf_counter()
        self.params, self.data, self.epochs, self.seed, self.precision = dict(params), data, epochs, seed, precision
        self.switch, self.is_second_phase = switch, False
        self.validates = len(data.validation_ids) > 0
        self.rate = LearningRate.of(params, epochs, learning_rates, self.validates)
        self.stopping = EarlyStopping(
            params["early_stopping"] and self.validates, params["early_stopping_monitor"], params["early_stopping_patience"]
        )
        self.best = BestEpoch(getattr(data, "metric", "val_accuracy"))
        self.best_weights: list[np.ndarray] | None = None
        self.history: list[dict[str, float]] = []
        self.hits: list[np.ndarray] = []  # which validation tracks each epoch told right
        # A worker runs trial after trial: without both, a trial would depend on those before it.
        keras.utils.clear_session()
        seed_everything(seed % 2**32)
        dtype = data.features(items_of(data, data.train_ids[:1])[0][:1]).dtype.name
        self.network = build(params, data.input_shape, len(data.labels), input_dtype=dtype, seed=seed, precision=precision)
        self.optimizer = self._compiled()
        self.items = TrainingItems(data, params, seed)
        self.phases = {"build": time.perf_counter() - started, "train": 0.0, "validate": 0.0, "report": 0.0}

    def _compiled(self) -> keras.optimizers.Optimizer:
        optimizer = make_optimizer(self.params, self.precision)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=self.params["label_smoothing"])
        # A metric given by name makes its variables inside the first step, and TensorFlow then traces that step twice: a second a trial.
        hits = keras.metrics.CategoricalAccuracy(name="accuracy")
        if self.params.get("mixup"):
            hits = keras.metrics.MeanMetricWrapper(hit_share, name="accuracy")
        self.network.trainer.compile(optimizer, loss, metrics=[hits], jit_compile=runs_compiled())
        self.network.core.jit_compile = runs_compiled()
        optimizer.build(self.network.trainer.trainable_variables)  # so that a snapshot finds its variables
        return optimizer

    def go_on(self, report: Report) -> Fitted:
        """Train from the epoch after the last one done."""
        while len(self.history) < self.epochs and not self.stopping.is_due:
            epoch = len(self.history) + 1
            if self._is_second(epoch) and not self.is_second_phase:
                self._go_over()
            metrics = self._epoch(epoch)
            self.history.append({"epoch": epoch, **metrics})
            reported = time.perf_counter()
            answer = report(epoch, metrics, self.snapshot)
            self.phases["report"] += time.perf_counter() - reported
            if answer != "continue":
                break
        if self.best_weights is not None:
            self.network.core.set_weights(self.best_weights)
        done = len(self.history)
        return Fitted(
            core=self.network.core,
            data=self.data,
            batch_size=self.params["batch_size"],
            best_epoch=self.best.epoch if self.validates else done,
            epochs=done,
            stopped_early=self.stopping.is_due and done < self.epochs,
            history=self.history,
            parameters=sum(int(np.prod(v.shape)) for v in self.network.core.trainable_variables),
            phases=self.phases,
            finish=self.network.finish,
            hits=np.array(self.hits) if self.validates and len(self.hits) == done else None,
        )

    def _is_second(self, epoch: int) -> bool:
        return self.switch is not None and epoch > self.switch.after

    def _go_over(self) -> None:
        """Begin the second phase with the weights of the first as they are, and take its best ones along."""
        started = time.perf_counter()
        seed_everything((self.seed + 1) % 2**32)  # so that it begins alike after a resume
        first, self.data = self.network, self.switch.data()
        self.network = self.switch.build(first, self.data)
        if self.best_weights is not None:
            now = first.core.get_weights()
            first.core.set_weights(self.best_weights)
            self.best_weights = self.network.core.get_weights()
            first.core.set_weights(now)
        self.optimizer = self._compiled()
        self.items = TrainingItems(self.data, self.params, self.seed)
        self.is_second_phase = True
        self.phases["build"] += time.perf_counter() - started

    def _rate_of(self, epoch: int) -> float:
        rate = self.rate.rate(epoch)
        return rate * self.switch.factor if self._is_second(epoch) and self.rate.schedule != "recorded" else rate

    def _epoch(self, epoch: int) -> dict[str, float]:
        """Train and score one epoch; take note of it everywhere."""
        started = time.perf_counter()
        rate = self._rate_of(epoch)
        self.optimizer.learning_rate = rate
        metrics = self._train(epoch)
        trained = time.perf_counter()
        is_used = self.validates or epoch == self.epochs
        if self.network.settler is not None and is_used:
            items = SETTLING_ITEMS if self.validates else FINAL_SETTLING_ITEMS
            settle(self.network.settler, self.data, self.params["batch_size"], self.seed, epoch, items)
        if self.validates:
            metrics |= self._validate(epoch)
        metrics |= {"learning_rate": rate, "seconds": time.perf_counter() - started}
        if self.validates:
            self.rate.observe(metrics["val_loss"])
            self.stopping.observe(metrics)
            if self.best.observe(epoch, metrics):
                self.best_weights = self.network.core.get_weights()
        self.phases["train"] += trained - started
        self.phases["validate"] += time.perf_counter() - trained
        return metrics

    def _train(self, epoch: int) -> dict[str, float]:
        results = []
        for items, targets in self.items.batches(epoch):
            loss, hits = self.network.trainer.train_on_batch(items, targets)
            if not np.isfinite(loss):
                raise TrainingDiverged(f"loss is {loss} at epoch {epoch}, step {len(results) + 1}: a lower learning rate may help")
            results.append((loss, hits))
        self._require_finite_weights(epoch)
        loss, hits = np.mean(results, axis=0)  # all batches are equally large
        return {"loss": float(loss), "accuracy": float(hits)}

    def _require_finite_weights(self, epoch: int) -> None:
        # Some processors' kernels take the ReLU of a NaN for 0: the loss then stays finite over a network that is lost.
        if not all(np.isfinite(keras.ops.convert_to_numpy(variable)).all() for variable in self.network.core.trainable_variables):
            raise TrainingDiverged(f"loss is finite but weights are not after epoch {epoch}: a lower learning rate may help")

    def _validate(self, epoch: int) -> dict[str, float]:
        ids = self.data.validation_ids
        p = predict(self.network.core, self.data, ids, self.params["batch_size"])
        if not np.isfinite(p).all():
            found = f"val_loss is not finite at epoch {epoch}: the network's probabilities are not"
            raise TrainingDiverged(f"{found}; a lower learning rate may help")
        targets = self.data.targets(ids)
        self.hits.append(p.argmax(axis=1) == targets)
        return {"val_loss": log_loss(targets, p), "val_accuracy": accuracy(targets, p)}

    def _identity(self) -> dict[str, Any]:
        return {"params": self.params, "epochs": self.epochs, "seed": self.seed, "precision": self.precision, "backend": keras.backend.backend()}

    def _variables(self) -> dict[str, Any]:
        """Everything that training changes in the network (with batch norm and random states) and the optimizer, by a name on file."""
        groups = {"network": self.network.trainer.variables, "optimizer": self.optimizer.variables}
        return {f"{group}/{number}": variable for group, variables in groups.items() for number, variable in enumerate(variables)}

    def snapshot(self, folder: str) -> None:
        """Write the state after the last epoch done."""
        arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in self._variables().items()}
        arrays |= {f"best/{number}": array for number, array in enumerate(self.best_weights or ())}
        if self.hits:
            arrays["hits"] = np.array(self.hits)
        parts = {name: asdict(getattr(self, name)) for name in ("rate", "stopping", "best")}
        write_snapshot(folder, len(self.history), arrays, {"identity": self._identity(), "history": self.history, **parts})

    def restore(self, folder: str) -> None:
        """Take over a snapshot's state.

        Raises
        ------
        SnapshotError
            It can't be read, or is of another run, another network or another version.
        """
        arrays, state = read_snapshot(folder)
        try:
            before = {"backend": DEFAULT_BACKEND, **state["identity"]}  # snapshots of before there were others do not say
            self.rate, self.stopping = LearningRate(**state["rate"]), EarlyStopping(**state["stopping"])
            self.best, self.history = BestEpoch(**state["best"]), list(state["history"])
            count = sum(name.startswith("best/") for name in arrays)
            best_weights = [arrays[f"best/{number}"] for number in range(count)] or None
            self.hits = list(arrays.get("hits", ()))  # snapshots of before they were kept have none, and nor has what goes on from one
        except UNREADABLE as error:
            raise SnapshotError(f"{folder}: the snapshot is of another version ({error}): start the trial afresh") from error
        for key, value in self._identity().items():
            if before.get(key) != value:
                raise SnapshotError(f"{folder}: the snapshot is of another run: {key} was {before.get(key)!r}, now {value!r}")
        if self._is_second(len(self.history)):
            self._go_over()
        self.best_weights = best_weights
        for name, variable in self._variables().items():
            found = arrays[name].shape if name in arrays else "missing"
            if found != tuple(variable.shape):
                told = f"the snapshot is of another network, {name} is {found}, not {tuple(variable.shape)}"
                raise SnapshotError(f"{folder}: {told}: start the trial afresh")
            variable.assign(arrays[name])
