"""`Sequential`: layers one after the other, f(X) = f_M(... f_2(f_1(X)))."""

from collections.abc import Iterable
from typing import Any

from ..declared import Note
from .base_layer import Layer
from .layers import Input
from .model import Model


class Sequential(Model):
    """A model made of layers, each fed with the output of the one before.

    Args:
        layers: the layers, or `add` them one by one. The first may be ``Input(shape=...)``.
        name: what the summary calls it; by default "sequential".
        seed: makes first weights, dropout and shuffling repeat, also those of layers inside layers.

    >>> import numpy as np
    >>> from tinygrad_edu.nn import SGD, Dense
    >>> x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> y = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])  # is either of them on?
    >>> model = Sequential([Dense(2, activation="softmax", input_dim=2)], seed=0)
    >>> model.compile(SGD(lr=1.0), "categorical_crossentropy", metrics=["accuracy"])
    >>> history = model.fit(x, y, epochs=100, verbose=0)
    >>> history.history["accuracy"][-1]
    1.0
    >>> model.predict([[0.0, 1.0]]).argmax()
    np.int64(1)
    """

    _placed = Note()  # the layers that `add` has placed: `changes` then, their names, and the last numbers

    def __init__(
        self, layers: Iterable[Layer | Input] = (), name: str | None = None, seed: int | None = None
    ):
        super().__init__(name, seed=seed)
        self.built = True  # layers build themselves
        self.layers: list[Layer] = []
        self._input: Input | None = None
        for layer in layers or ():
            self.add(layer)

    def add(self, layer: Layer | Input) -> None:
        """Append a layer.

        Raises:
            TypeError: not a layer.
            ValueError: its name is taken, or it does not fit the layer before.
        """
        if isinstance(layer, Input):
            if self.layers:
                raise ValueError("Input describes what the first layer gets: add it before all layers")
            self._input, self.input_shape = layer, layer.shape
            return
        if not isinstance(layer, Layer):
            raise TypeError(
                f"add needs a layer, such as Dense(10), and got {layer!r}; a function goes into a layer's "
                "activation=, or becomes one with Activation(function)"
            )
        if id(layer) in map(id, self.layers):
            raise ValueError(f"layer {layer.name!r} is in this model already; make another one")
        self.layers.append(layer)
        try:
            self._place_last()
            self._try_last()
        except BaseException:
            self.layers.pop()
            self._placed = None
            raise
        self.changed()
        if self._placed is not None:
            self._placed[0] = self.changes

    def _place_last(self) -> None:
        """Place the last layer; those before it too, if anything but `add` may have moved them."""
        *before, layer = self.layers
        if (
            self._placed is None
            or self._placed[0] != self.changes
            or list(self._placed[1].values()) != before
        ):
            named = dict(self._named_inner())
            self._place_inner()
            self._placed = [self.changes, named, {}]
        else:
            _, named, last = self._placed
            self._names_after(named, last, [layer])
            self._place_one(next(reversed(named)), layer)

    def _try_last(self) -> None:
        """Send an example of zeros through the last layer, where its shape is known: that makes weights."""
        layer = self.layers[-1]
        if len(self.layers) > 1:
            shape = self.layers[-2].output_shape
            if isinstance(shape, tuple) and shape[0] is None and None not in shape[1:]:  # one output
                layer.try_out(shape[1:])
            self.output_shape = layer.output_shape
            return
        self.takes, self.dtype = layer.takes, layer.dtype  # inputs are for the first layer
        self.input_shape = self.input_shape or layer.input_shape
        if self.input_shape is not None:
            layer.try_out(self.input_shape, self._input and self._input.dtype)
        self.output_shape = layer.output_shape

    def call(self, x: Any) -> Any:
        """Return the output of the last layer.

        Raises:
            RuntimeError: there are no layers yet.
        """
        if not self.layers:
            raise RuntimeError("this model has no layers yet; add one, such as model.add(Dense(10))")
        for layer in self.layers:
            x = layer(x)
        return x

    def build(self, input_shape: Any) -> None:
        """Make the weights of all layers."""
        self.try_out(input_shape[1:])

    def settings(self) -> dict[str, Any]:
        """Return the attributes that decide what is computed, layers among them."""
        return super().settings() | {"layers": list(self.layers)}

    def shape_of_examples(self, x: Any) -> Any:
        """Return the shape that examples such as those in x must have, or None where any may fit."""
        if not self.layers:
            return None
        first = self.layers[0]
        if self.input_shape is None and first.features is not None:
            return (*x.shape[1:-1], first.features)
        return self.input_shape

    @property
    def output_dtype(self) -> Any:
        """The type of its predictions, which labels that are numbers are converted to."""
        return self.layers[-1].dtype if self.layers else self.dtype

    def get_config(self) -> dict[str, Any]:
        """Return its layers, each with what it was made with, those that were added later too."""
        layers = [*([self._input] if self._input else []), *self.layers]
        return self._config(layers=layers)
