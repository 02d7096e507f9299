"""Callbacks: what happens between the steps of `fit`. Names and arguments are Keras's."""

import inspect
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from .progress import describe

Logs: TypeAlias = dict[str, float]


class Callback:
    """The base of all callbacks: `fit`, `evaluate` and `predict` call its methods, which do nothing as yet.

    `model` is the model being trained. Setting ``self.model.stop_training = True`` ends training after the
    batch, or after the epoch where it is set at its end. `logs` holds the loss and metrics so far, by name;
    what a callback writes into those of an epoch is in the `History`, too. A method may leave out arguments
    at the end.

    >>> class Shout(Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         print(f"epoch {epoch} is over!")
    """

    model: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Run before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Run after the last epoch, with its logs."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Run before each epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Run after each epoch; `logs` also holds ``val_loss`` and so on where there is validation data."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Run before each batch, counted from 0 in each epoch; `logs` is empty."""

    def on_batch_begin(self, batch: int, logs: Logs) -> None:
        """Run right after `on_train_batch_begin`: Keras's older name for it."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Run after each batch."""

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Run right after `on_train_batch_end`: Keras's older name for it."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Run before an evaluation, and before the validation in an epoch."""

    def on_test_batch_begin(self, batch: int, logs: Logs) -> None:
        """Run before each batch of an evaluation; `logs` is empty."""

    def on_test_batch_end(self, batch: int, logs: Logs) -> None:
        """Run after each batch of an evaluation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Run after an evaluation, with its results."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Run before a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs) -> None:
        """Run before each batch of a prediction; `logs` is empty."""

    def on_predict_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """Run after each batch of a prediction; `logs` holds its ``outputs``."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Run after a prediction."""


class Callbacks:
    """The callbacks of one run: tells those about an event that do something about it.

    Raises:
        TypeError: one of them is no `Callback`.
    """

    def __init__(self, callbacks: Iterable[Callback] | Callback | None, model: Any):
        self.all = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or ())
        for callback in self.all:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks needs Callback objects, and got {callback!r}")
            callback.model = model
        self.listening: dict[str, list[Callable[..., Any]]] = {}

    def tell(self, event: str, *details: Any) -> None:
        """Tell those that do something about an event, by details or by functions that find them."""
        if event not in self.listening:
            base = getattr(Callback, event)
            told = [
                getattr(callback, event)
                for callback in self.all
                if event in vars(callback) or getattr(type(callback), event) is not base
            ]
            self.listening[event] = [_taking(method, len(details)) for method in told]
        if self.listening[event]:
            found = [detail() if callable(detail) else detail for detail in details]
            for method in self.listening[event]:
                method(*found)


def _taking(method: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Return a method to be called with so many arguments, of which it takes the first ones."""
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return method
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return method
    takes = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    return method if takes >= count else lambda *details: method(*details[:takes])


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
        verbose: 1 to say when training ends, and which weights it goes back to.
        mode: whether "min" or "max" is better; "auto" knows that accuracies should grow and the rest shrink.
        baseline: a number to be better than; as long as it is not, patience runs out.
        restore_best_weights: whether to go back to the weights of the best epoch.
        start_from_epoch: the first epoch that counts.

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
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        if mode not in ("auto", "min", "max"):
            raise ValueError(f'mode must be "auto", "min" or "max", and is {mode!r}')
        self.monitor, self.min_delta, self.patience = monitor, abs(min_delta), patience
        self.verbose, self.baseline, self.start_from_epoch = verbose, baseline, start_from_epoch
        grows = mode == "max" or (mode == "auto" and monitor.endswith(("acc", "accuracy")))
        self.sign = -1 if grows else 1
        self.restore_best_weights = restore_best_weights
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget earlier runs."""
        self.best, self.best_epoch, self.stopped_epoch, self.wait = self.sign * math.inf, 0, 0, 0
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
        if epoch < self.start_from_epoch:
            return
        value = logs[self.monitor]
        first = self.restore_best_weights and self.best_weights is None
        better = self._is_better(value, self.best)
        if first or better:
            self.best_epoch = epoch
            self.best_weights = self.model.get_weights() if self.restore_best_weights else None
        self.wait += 1
        if better:
            self.best = value
            if self.baseline is None or self._is_better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch, self.model.stop_training = epoch, True

    def _is_better(self, value: float, than: float) -> bool:
        return self.sign * value < self.sign * than - self.min_delta

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Go back to the best weights, if asked to."""
        if self.verbose and self.stopped_epoch:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
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
