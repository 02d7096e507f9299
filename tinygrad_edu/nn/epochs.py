"""One run of `Model.fit`: epochs of batches, and who is told about them.

The one idea: `Run` goes through the batches and calls the model's step for each; `Totals` adds up what came
out. What a step does, stands in `training`; what is told, in `callbacks` and `progress`.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..callsites import warn
from . import metrics
from .callbacks import Callbacks, History
from .examples import taken
from .lookup import as_array
from .losses import alike
from .progress import Progress

if TYPE_CHECKING:
    from .model import Model


class Totals:
    """Adds up the loss and metrics of batches, each weighted with its number of examples."""

    def __init__(self, wanted: list[tuple[str, metrics.Metric]]):
        self.metrics = [metric for _, metric in wanted]
        self.names = ["loss", *(name for name, _ in wanted)]
        self.sums = [0.0] * len(self.names)
        self.count = 0

    def add(self, loss: float, y_true: Any, y_pred: Any) -> None:
        """Add one batch."""
        size = len(y_true)
        self.count += size
        self.sums[0] += loss * size
        for i, metric in enumerate(self.metrics, 1):
            self.sums[i] += mean(metric(alike(y_true, y_pred), y_pred)) * size

    def means(self) -> dict[str, float]:
        """Return the means so far, by their names."""
        return {name: total / self.count for name, total in zip(self.names, self.sums, strict=True)}


class Run:
    """One run of `fit`: goes through epochs, and tells the callbacks and the progress bar."""

    def __init__(self, model: "Model", callbacks: Any, progress: Progress, batch_size: int):
        self.model, self.progress, self.batch_size = model, progress, batch_size
        self.history = History()
        self.callbacks = Callbacks(callbacks, model)
        self.callbacks.all.append(self.history)  # the last: so that it has what others write into the logs
        self.logs: dict[str, float] = {}
        self.warned = False

    def begin(self) -> None:
        """Make the model ready, and tell the callbacks."""
        self.model.zero_grad()
        self.model.stop_training = False
        self.model.history = self.history
        self.callbacks.tell("on_train_begin", {})

    def epoch(self, epoch: int, x: Any, y: Any, order: Any, validation: Any, test_size: int | None) -> None:
        """Take a step for each batch, then test, where `validation` is what to test with."""
        self.callbacks.tell("on_epoch_begin", epoch, {})
        logs = self.batches(epoch, x, y, order)
        if validation is not None:
            # only the speed depends on how many are predicted at once
            size = test_size or max(self.batch_size, 1000)
            tested = self.model._test(validation[0], validation[1], size, self.callbacks)
            logs |= {f"val_{name}": value for name, value in tested.items()}
        if not math.isfinite(logs["loss"]) and not self.warned:
            self.warned = True
            warn(
                f"the loss became {logs['loss']} in epoch {epoch + 1}; try a smaller learning rate, and "
                "check that the inputs are scaled (x / 255 for images). A block  with tg.detect_anomaly():  "
                "around fit names the call that made it, and nn.TerminateOnNaN() ends training at once",
            )
        shown, self.logs = dict(logs), logs  # callbacks may write into the logs
        self.callbacks.tell("on_epoch_end", epoch, logs)
        self.progress.end_epoch(epoch, shown)

    def batches(self, epoch: int, x: Any, y: Any, order: Any) -> dict[str, float]:
        """Take a step for each batch of an epoch."""
        size, step = self.batch_size, self.model._train_step
        totals = Totals(self.model.metrics)
        for start in self.progress.steps(epoch, range(0, len(y), size)):
            batch = slice(start, start + size)
            chosen = batch if order is None else order[batch]
            part, labels = taken(x, chosen), taken(y, chosen)
            for event in ("on_train_batch_begin", "on_batch_begin"):  # both of Keras's names
                self.callbacks.tell(event, start // size, {})
            loss, y_pred = step(part, labels)
            totals.add(loss, labels, y_pred)
            for event in ("on_train_batch_end", "on_batch_end"):
                self.callbacks.tell(event, start // size, totals.means)
            if self.model.stop_training:
                break
        return totals.means()


def mean(values: Any) -> float:
    """Average what a metric returned, for each example or for all."""
    values = as_array(values)
    if values.dtype.kind == "b" and values.ndim:
        return int(np.count_nonzero(values)) / int(values.size)
    return float(values.mean())
