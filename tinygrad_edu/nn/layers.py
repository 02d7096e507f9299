"""Layers: functions with weights of their own, such as h(W, b) = g(XW + b).

What they share, and how to write one of one's own, is in `base_layer`.
"""

import math
from typing import Any

import numpy as np

from .. import random
from ..tensor import Tensor
from . import activations, initializers
from .base_layer import Layer, Shape
from .config import Configured
from .mode import is_training, training

__all__ = ["Activation", "Dense", "Dropout", "Flatten", "Input", "Layer", "is_training", "training"]


class Dense(Layer):
    """A fully connected layer: h(W, b) = g(XW + b).

    Args:
        units: the number of outputs.
        activation: g, by name or as a function; None is linear.
        use_bias: whether there is a b.
        kernel_initializer: what W, of shape (features, units), starts from.
        bias_initializer: what b, of shape (units,), starts from.
        input_dim: the number of features, if W and b should exist at once.
        input_shape: the same as a shape, ``(features,)``.
        name: by default "dense".
        seed: makes the first values repeat.
        dtype: of W and b.

    Raises:
        ValueError: `units` is not a positive integer, or an input has the wrong number of features.

    >>> layer = Dense(2, activation="relu", input_dim=3, seed=0)
    >>> layer.W.shape, layer.b
    ((3, 2), Tensor([0., 0.], dtype=float32, name='dense.b', requires_grad=True))
    >>> layer(np.ones((5, 3))).shape
    (5, 2)
    """

    takes = "floats"
    W: Tensor
    b: Tensor | None

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        input_dim: int | None = None,
        input_shape: Any = None,
        name: str | None = None,
        seed: int | None = None,
        dtype: Any = np.float32,
    ):
        super().__init__(name, dtype, seed, input_shape, input_dim)
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)) or units < 1:
            raise ValueError(f"units is the number of outputs, an integer from 1 up, and is {units!r}")
        self.units = int(units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def build(self, input_shape: Shape) -> None:
        """Make W and b.

        Raises:
            ValueError: an input with a single axis.
        """
        if len(input_shape) < 2:
            raise ValueError(
                f"Dense takes inputs of shape (N, features), and layer {self.path!r} got one with a "
                "single axis; write x[:, None] for N examples with one feature each, x[None] for one example"
            )
        self.features = input_shape[-1]
        self.W = self.add_weight("W", (self.features, self.units), self.kernel_initializer)
        self.b = self.add_weight("b", (self.units,), self.bias_initializer) if self.use_bias else None

    def call(self, x: Any) -> Any:
        """Return g(XW + b)."""
        if self.b is None:
            return self.activation(x @ self.W)
        return self.activation(x @ self.W + self.b)

    @property
    def kernel(self) -> Tensor:
        """Keras's name for W."""
        return self.W

    @property
    def bias(self) -> Tensor | None:
        """Keras's name for b."""
        return self.b


class Activation(Layer):
    """An activation as a layer of its own.

    >>> Activation("relu")(np.array([-1.0, 2.0]))
    Tensor([0., 2.], dtype=float32)
    """

    takes = "floats"

    def __init__(self, activation: Any, name: str | None = None, dtype: Any = np.float32):
        super().__init__(name, dtype)
        self.activation = activations.get(activation)

    def call(self, x: Any) -> Any:
        """Return g(x)."""
        return self.activation(x)


class Flatten(Layer):
    """Turns each example into a vector: (N, 28, 28) into (N, 784).

    >>> Flatten()(np.ones((5, 2, 3))).shape
    (5, 6)
    """

    takes = "array"

    def call(self, x: Any) -> Any:
        """Return the examples as rows."""
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class Dropout(Layer):
    """Sets a share of its inputs to 0 while training, and scales up the rest so that the mean stays.

    Args:
        rate: the share that is dropped, from 0 up to but not 1.
        name: by default "dropout".
        seed: makes the choices repeat.
        dtype: inputs that are not Tensors are converted to it.

    Raises:
        ValueError: a rate outside of that.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.

    >>> Dropout(0.5)(np.ones(4))
    Tensor([1., 1., 1., 1.], dtype=float32)
    >>> with training():
    ...     Dropout(0.5, seed=0)(np.ones(4))
    Tensor([2., 0., 0., 0.], dtype=float32)
    """

    takes = "floats"

    def __init__(
        self, rate: float, name: str | None = None, seed: int | None = None, dtype: Any = np.float32
    ):
        super().__init__(name, dtype, seed)
        if not 0 <= rate < 1:
            raise ValueError(
                f"rate is the share of inputs that is dropped, from 0 up to but not 1; got {rate}"
            )
        self.rate = rate

    def call(self, x: Any) -> Any:
        """Return x, thinned out while training."""
        if not self.rate or not is_training():
            return x
        kept = random.random(x.shape, lambda: self.generator or random.generator()) >= self.rate
        return x * (kept / (1 - self.rate)).astype(x.dtype)


class Input(Configured):
    """What the first layer of a `Sequential` gets, as its first entry: ``Input(shape=(784,))``.

    Args:
        shape: of one example.
        dtype: of the array to try the layers out on, such as "int64" for the numbers of words.
    """

    def __init__(self, shape: Any, dtype: Any = None):
        self.shape = tuple(shape)
        self.dtype = dtype
