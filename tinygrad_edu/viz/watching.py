"""Callbacks that write down during `fit` what a plot needs afterwards: sizes of gradients, paths of weights.

The one idea: ask the same question on the same examples every time. The gradients that moved the weights came
from batches that differ; those of one fixed loss can be compared from epoch to epoch.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from ..backward import pull
from ..nn.callbacks import Callback, Logs
from ..nn.layers import training
from ..tensor import Tensor


class GradientNorms(Callback):
    """Measures the gradient of every layer before training and after each epoch, for `viz.gradient_flow`.

    The size of a gradient is its norm: the root of the sum of squares over all parameters of the layer, which
    are those whose names have the same part before the dot, such as ``hidden.W`` and ``hidden.b``.
    Without `fit`, call `take` once before training and once an epoch.

    Args:
        loss: what computes the loss to look at, on examples that stay the same: a function of no arguments
            such as ``lambda: categorical_crossentropy(y, model(x))``. No ``.grad`` is written, and dropout
            does not drop.

    Attributes:
        norms: by layer, from the input to the loss, a list of norms.

    Raises:
        TypeError: `loss` is no function.

    >>> w = Tensor([3.0, 4.0], requires_grad=True, name="layer.w")
    >>> watch = GradientNorms(lambda: np.sum(w * w) / 2)
    >>> watch.take()
    >>> watch.norms
    {'layer': [5.0]}
    """

    def __init__(self, loss: Callable[[], Any]):
        if not callable(loss):
            raise TypeError(
                "GradientNorms computes the loss anew each time, so it takes a function: "
                f"GradientNorms(lambda: ...), and got a {type(loss).__name__}"
            )
        self.loss = loss
        self.norms: dict[str, list[float]] = {}

    def take(self) -> None:
        """Measure now.

        Raises:
            TypeError: the loss is no scalar, or was not computed from parameters.
        """
        with training(False):
            loss = self.loss()
        if not isinstance(loss, Tensor) or loss.shape != () or not loss.requires_grad:
            raise TypeError(f"GradientNorms needs a scalar loss computed from parameters, and got {loss!r}")
        squares: dict[str, float] = {}
        for parameter, gradient in reversed(pull([(loss, np.ones_like(loss.data))])):
            name = (parameter.name or "unnamed").rpartition(".")[0] or parameter.name or "unnamed"
            squares[name] = squares.get(name, 0.0) + float(np.sum(np.square(gradient, dtype=float)))
        for name, square in squares.items():
            self.norms.setdefault(name, []).append(square**0.5)

    def on_train_begin(self, logs: Any = None) -> None:
        """Measure where training starts, unless this goes on with an earlier run."""
        if not self.norms:
            self.take()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Measure after the epoch."""
        self.take()


class WeightPath(Callback):
    """Keeps the weights of the model before training and after each epoch or step, for `viz.loss_surface`.

    Args:
        each: "epoch", or "step" (each batch) for the way between; every point is a copy of all weights.

    Attributes:
        points: a list of what ``model.get_weights()`` gave, the first from before the first step.

    Raises:
        ValueError: `each` is something else.

    >>> WeightPath(each="step").points
    []
    """

    def __init__(self, each: Literal["epoch", "step"] = "epoch"):
        if each not in ("epoch", "step"):
            raise ValueError(f'each must be "epoch" or "step", and is {each!r}')
        self.each = each
        self.points: list[list[Any]] = []

    def take(self) -> None:
        """Keep the weights as they are now."""
        self.points.append(self.model.get_weights())

    def on_train_begin(self, logs: Any = None) -> None:
        """Keep the first weights, unless this goes on with an earlier run."""
        if not self.points and self.model.ready:
            self.take()

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Keep the weights after the step."""
        if self.each == "step":
            self.take()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Keep the weights after the epoch."""
        if self.each == "epoch":
            self.take()
