"""Callbacks: what happens between the steps of `fit`. Names and arguments are Keras's."""

import math
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

from .progress import describe

Logs: TypeAlias = dict[str, float]


class Callback:
    """The base of all callbacks: `fit` calls its methods, which do nothing until a subclass says what.

    `model` is the model being trained. Setting ``self.model.stop_training = True`` ends training after the
    batch, or after the epoch where it is set at its end. `logs` holds the loss and metrics so far, by name.

    >>> class Shout(Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         print(f"epoch {epoch} is over!")
    """

    model: Any = None

    def on_train_begin(self) -> None:
        """Run before the first epoch."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Run before each epoch, counted from 0."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Run before each batch, counted from 0 in each epoch; `logs` is empty."""

    def on_batch_begin(self, batch: int, logs: Logs) -> None:
        """Run right after `on_train_batch_begin`: Keras's older name for it."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Run after each batch."""

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Run right after `on_train_batch_end`: Keras's older name for it."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Run after each epoch; `logs` also holds ``val_loss`` and so on where there is validation data."""

    def on_train_end(self) -> None:
        """Run after the last epoch."""


class History(Callback):
    """Keeps the loss and metrics of every epoch: `fit` returns one.

    Attributes:
        history: a list of numbers, one an epoch, for each name: ``"loss"``, ``"val_loss"``, ...
        epoch: the epochs, counted from 0.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the epoch down."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self) -> str:
        last = describe({name: values[-1] for name, values in self.history.items()})
        return f"<History of {len(self.epoch)} epoch{'s' * (len(self.epoch) != 1)}{last and ': '}{last}>"


class LambdaCallback(Callback):
    """Calls the functions it is given: ``LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs))``.

    Raises:
        TypeError: a name that no method of a callback has; the message lists those that there are.
    """

    def __init__(self, **functions: Callable[..., Any]):
        for name, function in functions.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                known = ", ".join(method for method in vars(Callback) if method.startswith("on_"))
                raise TypeError(f"LambdaCallback knows no {name}; it takes {known}")
            setattr(self, name, function)


class EarlyStopping(Callback):
    """Ends training when a number has not become better for a while.

    Args:
        monitor: which number, by its name in the logs.
        min_delta: how much better counts as better.
        patience: how many epochs without it are waited for.
        mode: whether "min" or "max" is better; "auto" knows that accuracies should grow and the rest shrink.
        restore_best_weights: whether to go back to the weights of the best epoch.

    Raises:
        ValueError: another mode.

    Source: Prechelt, "Early stopping, but when?", 1998.

    >>> EarlyStopping(patience=3).monitor
    'val_loss'
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        restore_best_weights: bool = False,
    ):
        if mode not in ("auto", "min", "max"):
            raise ValueError(f'mode must be "auto", "min" or "max", and is {mode!r}')
        self.monitor, self.min_delta, self.patience = monitor, abs(min_delta), patience
        grows = mode == "max" or (mode == "auto" and monitor.endswith(("acc", "accuracy")))
        self.sign = -1 if grows else 1
        self.restore_best_weights = restore_best_weights
        self.on_train_begin()

    def on_train_begin(self) -> None:
        """Forget earlier runs."""
        self.best, self.best_epoch, self.stopped_epoch, self.wait = math.inf, 0, 0, 0
        self.best_weights: Any = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare with the best so far, and stop if patience is over."""
        if self.monitor not in logs:
            warnings.warn(
                f"EarlyStopping watches {self.monitor!r}, and there are only {', '.join(logs)}; "
                "give fit validation_data, or choose another monitor",
                stacklevel=2,
            )
            return
        value = self.sign * logs[self.monitor]
        if value < self.best - self.min_delta:
            self.best, self.best_epoch, self.wait = value, epoch, 0
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.stopped_epoch, self.model.stop_training = epoch, True

    def on_train_end(self) -> None:
        """Go back to the best weights, if asked to."""
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)


class TerminateOnNaN(Callback):
    """Ends training after the batch whose loss is NaN or infinite; a warning says what to try.

    >>> import numpy as np
    >>> from tinygrad_edu.nn import Dense, Sequential
    >>> model = Sequential([Dense(1, input_dim=1)])
    >>> model.compile("sgd", loss="mse")
    >>> history = model.fit(np.ones((4, 1)), np.ones((4, 1)), verbose=0, callbacks=[TerminateOnNaN()])
    """

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Look at the loss so far."""
        if not math.isfinite(logs["loss"]):
            self.model.stop_training = True
