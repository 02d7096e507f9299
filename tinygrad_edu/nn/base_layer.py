"""`Layer`: a function with weights of its own, and with other layers inside.

The one idea: a layer makes its weights when it first sees its input (`build`) and then is the function
`call`. What happens inside is recorded under the layer's name, which pictures draw as a box.

A layer of one's own is these two methods::

    class Scale(Layer):
        def build(self, input_shape):
            self.gain = self.add_weight("gain", (input_shape[-1],), "ones")

        def call(self, x):
            return x * self.gain

Layers that it keeps as attributes, in lists and dicts too, are part of it: their weights are its weights.
"""

import functools
import inspect
import weakref
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from ..containers import tree_map
from ..declared import Note
from ..recording import Recorded, make
from ..state import call_inside, contained, current_trace, no_grad
from ..tensor import Tensor
from ..tracing import NotYet
from . import initializers, mode
from .lookup import as_array, is_several
from .nested import Nested, default_name

Shape: TypeAlias = tuple[int | None, ...]
Takes: TypeAlias = Literal["anything", "array", "floats", "integers"]

FEW = 16  # outputs


class Layer(Nested):
    """The base of all layers: a name, weights, and a call that builds them first.

    What `call` is given is always a Tensor, or the list, tuple or dict of Tensors that the layer was called
    on. Plain arrays are wrapped, not copied, and arrays of floats converted to the layer's dtype; what else
    is done with inputs is said by the class attribute `takes`:

    - "anything": one input or several; integers and booleans stay what they are.
    - "array": the same, and several inputs at once are refused.
    - "floats": one input, and integers and booleans become the layer's dtype.
    - "integers": one input, of integers, such as the numbers of words; floats are refused.

    A `call` with an argument ``training`` is told whether the model is being trained.

    Args:
        name: what messages, pictures and weights call it; by default after its class.
        dtype: the type of its weights; arrays of floats are converted to it.
        seed: makes its random numbers repeat.
        input_shape: the shape of one example, if the weights should exist at once.
        input_dim: the same for examples that are vectors: their number of features.

    Raises:
        ValueError: `input_shape` and `input_dim` contradict each other, or there is a / in the name.
    """

    takes: Takes = "anything"
    features = Note()  # how many an example must have, if that is fixed
    input_shape = Note()
    output_shape = Note()
    _told_training: ClassVar[bool] = False

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
        if name is not None and "/" in name:
            raise ValueError(f"a layer's name is part of paths, and cannot have a / in it: {name!r}")
        self.named = name is not None
        self.name = name or default_name(type(self))
        self.dtype = np.dtype(dtype)
        self.generator = None if seed is None else np.random.default_rng(seed)
        self.built = False
        self.input_shape = None if input_shape is None else tuple(input_shape)
        self._drawn = []

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "build" in vars(cls):
            cls._makes_weights = True
            cls.build = _whole(cls.build)  # type: ignore[method-assign]
        cls._told_training = "training" in inspect.signature(cls.call).parameters

    # What a layer's author writes

    def build(self, input_shape: Any) -> None:
        """Make the weights, given the shape of the input: None (any number of examples) and the rest.

        Of several inputs these are the shapes, in the same list, tuple or dict.
        """

    def call(self, x: Any) -> Any:
        """Return the output for the input x; for several inputs, write ``call(self, x, y)`` or so."""
        raise NotImplementedError(f"{type(self).__name__} needs a method call(self, x)")

    def add_weight(
        self,
        name: str,
        shape: Any,
        initializer: Any = "glorot_uniform",
        trainable: bool = True,
        dtype: Any = None,
    ) -> Tensor:
        """Make a weight called ``layer.name``, with values from an initializer.

        Without `trainable` no gradient flows to it and no optimizer moves it: `call` may give it new values
        with `assign`, such as a moving average while training. It is saved with the others all the same.
        """
        initial = initializers.get(initializer)
        draw = functools.partial(_draw, name, initial, tuple(shape), np.dtype(dtype or self.dtype))
        weight = Tensor(draw(self.generator), requires_grad=trainable, name=f"{self.path}.{name}")
        if self.generator is None:
            self._drawn.append((weight, draw, weakref.ref(weight.data)))
        return weight

    # Calling

    def __call__(self, *inputs: Any, training: bool | None = None, **options: Any) -> Any:
        """Return the output for an input or several, after making the weights if there are none yet.

        Args:
            inputs: arrays or Tensors, or lists, tuples or dicts of them; see `takes`.
            training: whether to compute as in training here, and in the layers inside; by default as around.
            options: further arguments of `call`, by name.

        Raises:
            ValueError: inputs of the wrong shape.
            TypeError: several inputs where one is expected; or `call` returned nothing.
        """
        if training is not None:
            with mode.training(training):
                return self(*inputs, **options)
        floats = self.takes != "integers"  # then Tensors of floats, as most are, are taken as they are
        taken = [
            x if type(x) is Tensor and x._data.dtype.kind == "f" and floats else self._taken(x)
            for x in inputs
        ]
        if options:
            options = {key: make(v) if type(v) is np.ndarray else v for key, v in options.items()}
        if self._told_training:
            options["training"] = mode.is_training()
        if not self.built or len(taken) != 1:
            self._build_for(taken)
        if self.features is not None and taken[0].shape[-1:] != (self.features,):
            raise ValueError(
                f"layer {self.path!r} takes {self.features} features, and got an input of shape "
                f"{taken[0].shape}"
            )
        before = self.changes
        try:
            if self._is_boxed:
                y = call_inside(self.name, self.call, *taken, **options)
            else:
                y = self.call(*taken, **options)
        except Exception as error:
            if not hasattr(error, "__notes__"):  # the innermost layer says most
                shapes = tree_map(np.shape, taken)
                error.add_note(f"(in layer {self.path!r}, a {type(self).__name__}, called on {shapes})")
            raise
        if current_trace() is not None:
            self.declare(before)
        if not isinstance(y, Tensor):
            y = self._given_back(y)
        if self.output_shape is None:
            self.output_shape = _shapes(y)
        return y

    @property
    def _is_boxed(self) -> bool:
        """Whether the calls inside are recorded under its name."""
        return True

    def _taken(self, x: Any) -> Any:
        """Return an input as `call` gets it; `takes` says how."""
        if type(x) is np.ndarray:
            # a locked one is copied: somebody may have a view from before it was locked
            return make(self.cast(x if x.flags.writeable else x.copy("K")))
        if isinstance(x, Recorded):
            if self.takes == "floats" and x._data.dtype.kind in "iub":
                return x.astype(self.dtype)  # type: ignore[attr-defined]  # Recorded is Tensor here
            if self.takes == "integers" and x.data.dtype.kind not in "iub":
                raise self._no_integers(x._data)
            return x
        if isinstance(x, (list, tuple, dict)) and is_several(x):
            if self.takes != "anything":
                raise TypeError(
                    f"layer {self.path!r} takes one input, and got a {type(x).__name__} of {len(x)}; "
                    "give one of them, or make one array of them with np.stack or np.concatenate"
                )
            return tree_map(self._taken, x)
        if x is None:
            return None
        array = x if hasattr(x, "__array_function__") else np.asarray(x)
        return make(self.cast(array))

    def cast(self, array: Any) -> Any:
        """Return an array with the type that the layer computes with; see `takes`."""
        if self.takes == "integers":
            if array.dtype.kind == "f":
                raise self._no_integers(array)
            return array
        if array.dtype == self.dtype or not (array.dtype.kind == "f" or self.takes == "floats"):
            return array
        return array.astype(self.dtype)

    def _no_integers(self, array: Any) -> TypeError:
        return TypeError(
            f"layer {self.path!r} takes integers, and got {array.dtype}; write x.astype(int) if the numbers "
            "are whole"
        )

    def _build_for(self, inputs: list[Any]) -> None:
        """Check how many inputs there are, and make the weights for them, if there are none."""
        if len(inputs) != 1 and self.takes != "anything":
            raise TypeError(f"layer {self.path!r} takes one input, and got {len(inputs)}")
        shape = _shapes(inputs[0] if len(inputs) == 1 else inputs)
        if not self.built:
            if self.input_shape is not None and shape[1:] != self.input_shape:
                raise ValueError(
                    f"layer {self.path!r} was promised examples of shape {self.input_shape}, and got an "
                    f"input of shape {tree_map(np.shape, inputs[0])}"
                )
            self.build(shape)

    def _given_back(self, y: Any) -> Any:
        """Return what `call` returned, if it is no Tensor, with Tensors in place of arrays."""
        if y is None:
            raise TypeError(
                f"call of layer {self.path!r} ({type(self).__name__}) returned None; does it lack a "
                "return at its end?"
            )
        return tree_map(lambda part: part if isinstance(part, Recorded) else make(as_array(part)), y)

    # Building

    def ensure_built(self) -> None:
        """Make the weights now, those of layers inside too, if the shape of the input is known."""
        if self.built:
            return
        if self.input_shape is None:
            if current_trace() is None:
                self._place_inner()
            return
        self.build((None, *self.input_shape))
        if not self.ready:
            self.try_out(self.input_shape)

    @contained
    def try_out(self, shape: tuple[int, ...], dtype: Any = None) -> None:
        """Send one example of zeros through: that makes all weights, and shows what does not fit."""
        kind = np.dtype(int) if self.takes == "integers" else self.dtype
        with no_grad(), mode.training(False):
            self(np.zeros((1, *shape), dtype or kind))

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
                f"layer {self.path!r} has no {attribute!r} before it is built; "
                "give it input_dim=, or call it on an input first"
            )
        self.ensure_built()
        return getattr(self, attribute)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_drawn": []}

    def __repr__(self) -> str:
        shown = [text for text in self._arguments() if not text.startswith("name=")]
        name = vars(self).get("_path") or vars(self).get("name")
        return f"{type(self).__name__}({', '.join([*shown, f'name={name!r}'])})"


def _whole(build: Any) -> Any:
    """Add to a layer's own `build` what goes with it, whoever calls it."""

    @functools.wraps(build)
    def built(self: Layer, input_shape: Any) -> None:
        if current_trace() is not None:
            raise NotYet
        self._place_inner()  # which may have been made in __init__
        self.built = True
        try:
            build(self, input_shape)
        except BaseException:
            self.built = False
            raise
        self._place_inner()
        if not self.trainable:
            self.trainable = False  # what was just made is frozen too

    return built


Layer.build = _whole(Layer.build)  # type: ignore[method-assign]


def _draw(
    name: str, initial: Any, shape: tuple[int, ...], dtype: Any, generator: np.random.Generator | None
) -> Any:
    """Draw the first values of a weight, locked, so that its Tensor need not copy them."""
    drawn_from = (generator,) if isinstance(initial, initializers.Initializer) else ()
    values = initial(shape, dtype, *drawn_from)
    if np.shape(values) != shape:
        raise ValueError(f"the initializer of {name} gave shape {np.shape(values)} instead of {shape}")
    # with few outputs, products are up to twice as fast with the columns one after the other in memory
    order: Literal["F", "C"] = "F" if len(shape) == 2 and shape[1] <= FEW else "C"
    laid_out = np.array(values, dtype, order=order)
    laid_out.setflags(write=False)
    return laid_out


def _shapes(inputs: Any) -> Any:
    """Return the shape of an input, or those of several in their structure, for any number of examples."""
    return tree_map(lambda x: None if x is None else (None, *x.shape[1:]), inputs)
