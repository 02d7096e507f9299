"""Layers: functions with parameters of their own, h(W, b) = g(XW + b).

The one idea: a layer makes its parameters when it first sees its input (`build`) and then is the function
`call`. What happens inside is recorded under the layer's name, which pictures draw as a box.

A layer of one's own is these two methods::

    class Scale(Layer):
        def build(self, input_shape):
            self.gain = self.add_weight("gain", (input_shape[-1],), "ones")

        def call(self, x):
            return x * self.gain
"""

import contextlib
import math
import re
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Literal, TypeAlias

import numpy as np

from .. import random
from ..declared import Note, Versioned
from ..recording import LEAF, Recorded
from ..state import call_inside, current_trace
from ..tensor import Tensor
from ..tracing import NotYet, depends_on
from . import activations, initializers
from .lookup import as_array

Shape: TypeAlias = tuple[int | None, ...]

FEW = 16  # outputs

_training: ContextVar[bool] = ContextVar("tinygrad_edu_training", default=False)


def is_training() -> bool:
    """Tell whether a model is being trained here and now, so that dropout should drop."""
    return depends_on(_training.get)


@contextlib.contextmanager
def training(on: bool = True) -> Iterator[None]:
    """Switch layers such as `Dropout` to training in a ``with`` block, as `fit` does.

    >>> with training():
    ...     is_training()
    True
    """
    token = _training.set(on)
    try:
        yield
    finally:
        _training.reset(token)


class Layer(Versioned):
    """The base of all layers: a name, parameters, and a call that builds them first.

    Args:
        name: what messages, pictures and parameters call it; by default after its class.
        dtype: the type of its parameters; inputs that are not Tensors are converted to it.
        seed: makes its random numbers repeat.
        input_shape: the shape of one example, if the parameters should exist at once.
        input_dim: the same for examples that are vectors: their number of features.

    Raises:
        ValueError: `input_shape` and `input_dim` contradict each other.
    """

    built, features, input_shape, output_shape, named, generator, _frozen = (Note() for _ in range(7))

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = np.float32,
        seed: int | None = None,
        input_shape: Any = None,
        input_dim: int | None = None,
    ):
        if input_dim is not None:
            if input_shape is not None and tuple(input_shape) != (input_dim,):
                raise ValueError(
                    f"input_dim={input_dim} contradicts input_shape={input_shape}; give one of them"
                )
            input_shape = (input_dim,)
        self.named = name is not None
        self.name = name or re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()
        self.dtype = np.dtype(dtype)
        self.generator = None if seed is None else np.random.default_rng(seed)
        self.built = False
        self.features = None  # how many an example must have, if that is fixed
        self.input_shape = None if input_shape is None else tuple(input_shape)
        self.output_shape = None
        self._frozen = None  # what thawing gives its gradients back to; None: not frozen

    def build(self, input_shape: Shape) -> None:
        """Make the parameters, given the shape of the input: None (any number of examples) and the rest."""

    def call(self, x: Any) -> Any:
        """Return the output for the input x."""
        raise NotImplementedError(f"{type(self).__name__} needs a method call(self, x)")

    def add_weight(self, name: str, shape: Any, initializer: Any = "glorot_uniform") -> Tensor:
        """Make a parameter called ``layer.name``, with values from an initializer."""
        initial = initializers.get(initializer)
        if isinstance(initial, initializers.Initializer):
            values = initial(tuple(shape), self.dtype, self.generator)
        else:
            values = initial(tuple(shape), self.dtype)
        if np.shape(values) != tuple(shape):
            raise ValueError(f"the initializer of {name} gave shape {np.shape(values)} instead of {shape}")
        # with few outputs, products are up to twice as fast with the columns one after the other in memory
        order: Literal["F", "C"] = "F" if len(shape) == 2 and shape[1] <= FEW else "C"
        laid_out = np.array(values, self.dtype, order=order)
        return Tensor(laid_out, requires_grad=True, name=f"{self.name}.{name}")

    def __call__(self, x: Any) -> Any:
        """Return the output for the input x, after making the parameters if there are none yet."""
        if not isinstance(x, Recorded) and (not hasattr(x, "dtype") or x.dtype != self.dtype):
            x = as_array(x).astype(self.dtype)
        if not self.built:
            self._build_for(x)
        if self.features is not None and (not x.shape or x.shape[-1] != self.features):
            raise ValueError(
                f"layer {self.name!r} takes {self.features} features, and got an input of shape {x.shape}"
            )
        before = self.changes
        y = call_inside(self.name, self.call, x)
        self.declare(before)
        if self.output_shape is None:
            self.output_shape = (None, *y.shape[1:])
        return y

    def _build_for(self, x: Any) -> None:
        """Make the parameters for an input, after checking it against the shape that was promised."""
        if self.input_shape is not None and x.shape[1:] != self.input_shape:
            raise ValueError(
                f"layer {self.name!r} was promised examples of shape {self.input_shape}, and got an input of "
                f"shape {x.shape}"
            )
        self._build((None, *x.shape[1:]))

    def _build(self, input_shape: Shape) -> None:
        if current_trace() is not None:
            raise NotYet
        self.built = True
        try:
            self.build(input_shape)
        except BaseException:
            self.built = False
            raise
        if not self.trainable:
            self.trainable = False  # what was just made is frozen too

    def ensure_built(self) -> None:
        """Make the parameters now, if the shape of the input is known."""
        if not self.built and self.input_shape is not None:
            self._build((None, *self.input_shape))

    def __getattr__(self, attribute: str) -> Any:
        # only called for what is not there: perhaps because `build` has not run
        if "built" not in self.__dict__ and not attribute.startswith("__"):
            raise AttributeError(
                f"{type(self).__name__} has no {attribute!r}: a layer's own __init__ must begin with "
                "super().__init__()"
            )
        if attribute.startswith("__") or self.__dict__.get("built", True):
            raise AttributeError(f"{type(self).__name__} has no attribute {attribute!r}")
        if self.input_shape is None:
            raise AttributeError(
                f"layer {self.name!r} has no {attribute!r} before it is built; "
                "give it input_dim=, or call it on an input first"
            )
        self.ensure_built()
        return getattr(self, attribute)

    @property
    def parameters(self) -> list[Tensor]:
        """The Tensors among its attributes, in lists and dicts too, and those of layers there, each once."""
        self.ensure_built()
        found: dict[int, Tensor] = {}
        for item in self._parts():
            inner = item.parameters if isinstance(item, Layer) else [item]
            found |= {id(t): t for t in inner if t.is_leaf}
        return list(found.values())

    def _parts(self) -> Iterator[Any]:
        """Go through the Tensors and layers among its attributes."""
        for name, value in vars(self).items():
            if name != "_frozen":
                yield from _tensors_and_layers(value)

    @property
    def trainable(self) -> bool:
        """Whether training moves its parameters; ``layer.trainable = False`` freezes them, as in Keras.

        >>> layer = Dense(1, input_dim=2)
        >>> layer.trainable = False
        >>> [param.requires_grad for param in layer.parameters]
        [False, False]
        """
        return self._frozen is None

    @trainable.setter
    def trainable(self, wanted: bool) -> None:
        frozen = self._frozen or []
        for param in frozen if wanted else ():
            param.requires_grad = True
        for part in self._parts():
            if isinstance(part, Layer):
                part.trainable = wanted
            elif not wanted and part.node is LEAF:
                part.requires_grad = False
                frozen.append(part)
        self._frozen = None if wanted else frozen

    def count_params(self) -> int:
        """Count the numbers that its parameters hold.

        >>> Dense(10, input_dim=784).count_params()
        7850
        """
        return sum(param.size for param in self.parameters)

    def rename(self, name: str) -> None:
        """Give the layer another name, and its parameters with it."""
        for param in self.parameters if self.built else ():
            if param.name is not None and param.name.startswith(self.name + "."):
                param.name = name + param.name[len(self.name) :]
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {self.count_params():,} parameters>"


def _tensors_and_layers(value: Any) -> Iterator[Any]:
    """Go through the Tensors and layers in a value: itself, or in lists, tuples and dicts however deep."""
    if isinstance(value, (Tensor, Layer)):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors_and_layers(item)


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
        """Make W and b."""
        if len(input_shape) < 2:
            raise ValueError(
                f"Dense takes inputs of shape (N, features), and layer {self.name!r} got one with a "
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
    array([0., 2.], dtype=float32)
    """

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

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.

    >>> Dropout(0.5)(np.ones(4))
    array([1., 1., 1., 1.], dtype=float32)
    >>> with training():
    ...     Dropout(0.5, seed=0)(np.ones(4))
    array([2., 0., 0., 0.], dtype=float32)
    """

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


class Input:
    """The shape of one example, as the first entry of a `Sequential`: ``Input(shape=(784,))``."""

    def __init__(self, shape: Any):
        self.shape = tuple(shape)
