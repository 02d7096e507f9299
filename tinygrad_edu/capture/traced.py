"""Traced arrays: what takes the place of arrays while a function is traced.

The one idea: a `Traced` is one more kind of array that speaks NumPy's protocols, as those of Dask and CuPy
do. NumPy hands it every call made on it, and it hands them on to its trace. It knows what is the same on
every call (shape, dtype, memory layout, from an example: the array of this one run), and refuses to tell its
values.
"""

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..callsites import expression_at, line_of, users_place
from ..containers import leaves, tree_map
from ..recording import Recorded, apply
from ..rules import function_name
from ..rules.indexing import getitem
from ..rules.shapes import astype
from ..state import current_trace
from .facts import METHODS, VALUES, facts

Function = Callable[..., Any]
PLAIN = (bool, int, float)


class CaptureError(RuntimeError):
    """Raised when a function does what a program cannot; names the line and what to write instead."""


class Picking(CaptureError):
    """Raised where a plain array is indexed by a traced one; see `outside`."""


def refuse(what: str, instead: str, kind: type[CaptureError] = CaptureError) -> CaptureError:
    """Make the error that says what cannot be captured, on which of the user's lines, and what to write."""
    file, line = line_of(users_place())
    error = kind(f"{file}:{line}: {what} under jit; {instead}")
    tracing: Any = current_trace()
    if tracing is not None:
        tracing.refused = tracing.refused or error
    return error


class Traced:
    """Stands for an array, or a Python number, that is another one on each call of the program."""

    __slots__ = ("call", "example", "name", "tracing")
    __hash__ = object.__hash__
    __array_priority__ = 1

    def __init__(self, tracing: Any, example: Any, call: Any = None, name: str | None = None):
        self.tracing = tracing
        self.example = example
        self.call = call
        self.name = name

    def __repr__(self) -> str:
        return f"Traced({self.name or 'value'}, example={self.example!r})"

    @property
    def _trace(self) -> Any:
        """The trace that it belongs to, which must be the one that is active."""
        if self.tracing is None or current_trace() is not self.tracing:
            raise CaptureError(
                "a value computed inside a jitted function was used outside of it; return it from there"
            )
        return self.tracing

    # What is known of it: the same on every call

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.example.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self.example.dtype  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self.example)

    def __getattr__(self, name: str) -> Any:
        example = object.__getattribute__(self, "example")
        if name in ("ndim", "size", "nbytes", "itemsize", "strides", "flags"):
            return getattr(example, name)
        if name in METHODS and hasattr(example, name):
            return functools.partial(self._method, METHODS[name])
        if name in VALUES and hasattr(example, name):
            raise refuse(f"{name} reads values that only a call will have", VALUES[name])
        raise AttributeError(f"{type(example).__name__!r} object under jit has no attribute {name!r}")

    # What happens to it: written down

    def _method(self, fn: Function, *args: Any, **kwargs: Any) -> Any:
        return self._trace.call(fn, (self, *args), kwargs)

    def __opaque__(self, fn: Function, args: Any, kwargs: Any) -> Any:
        return self._trace.call(fn, args, kwargs)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(x, Recorded) for x in inputs):
            return NotImplemented  # it is the Tensor's turn, which has a Traced inside
        if kwargs.get("out") is not None or method == "at":
            raise refuse(f"np.{ufunc.__name__} writing into an array is lost", "use what it returns")
        fn = ufunc if method == "__call__" else getattr(ufunc, method)
        return self._trace.call(fn, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if any(issubclass(kind, Recorded) for kind in types):
            return NotImplemented
        if kwargs.get("out") is not None:
            raise refuse(f"{function_name(func)} writing into an array is lost", "use what it returns")
        return self._trace.call(func, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        if any(isinstance(part, Recorded) for part in leaves(index)):
            return apply(getitem, (self, index))
        return self._trace.call(getitem, (self, index))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """Return the elements in another shape."""
        new = shape[0] if len(shape) == 1 else shape
        return self._trace.call(np.reshape, (self, new), {} if order == "C" else {"order": order})

    def transpose(self, *axes: Any) -> Any:
        """Return the axes in another order."""
        order = axes[0] if len(axes) == 1 else axes or None
        return self._trace.call(np.transpose, (self, order))

    @property
    def T(self) -> Any:
        """The axes in reversed order."""
        return self.transpose()

    @property
    def mT(self) -> Any:
        """The last two axes swapped."""
        return self._trace.call(np.swapaxes, (self, -1, -2))

    @property
    def real(self) -> Any:
        """The real part."""
        return self._trace.call(np.real, (self,))

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return self._trace.call(np.imag, (self,))

    def copy(self, order: str = "C") -> Any:
        """Return a copy, in this order of memory."""
        return self._trace.call(np.copy, (self, order))

    def flatten(self, order: str = "C") -> Any:
        """Return a copy in one axis."""
        return self.copy(order).reshape(-1, order=order)

    def __round__(self, decimals: int | None = None) -> Any:
        return self._trace.call(np.round, (self, decimals or 0))

    def astype(self, dtype: Any, copy: bool = True, **how: Any) -> Any:
        """Return the elements converted to another type."""
        if how:
            raise refuse(f"astype with {', '.join(how)}=", "leave that out")
        return self if not copy and self.dtype == dtype else self._trace.call(astype, (self, dtype))

    def __pow__(self, exponent: Any) -> Any:
        return self._power(self, exponent)

    def __rpow__(self, base: Any) -> Any:
        return self._power(base, self)

    def _power(self, base: Any, exponent: Any) -> Any:
        if isinstance(base, Recorded) or isinstance(exponent, Recorded):
            return NotImplemented
        array = isinstance(base, Traced) and isinstance(base.example, np.ndarray)
        short = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal}  # what NumPy's own ** calls
        if array and type(exponent) in (int, float) and exponent in short and base.dtype.kind in "fc":
            return self._trace.call(short[exponent], (base,))
        scalars = not any(isinstance(examples_of(x), np.ndarray) for x in (base, exponent))
        return self._trace.call(operator.pow if scalars else np.power, (base, exponent))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise refuse("writing into an array", "write  x = tg.Tensor(x).at[index].set(value)  or np.where")

    # What would read its values

    def __bool__(self) -> bool:
        answer: bool = self._trace.branch(self)
        return answer

    def __float__(self) -> float:
        raise self._no_number("float(...)")

    def __int__(self) -> int:
        raise self._no_number("int(...)")

    def __index__(self) -> int:
        raise self._no_number("using a computed number as an index or a count")

    def __complex__(self) -> complex:
        raise self._no_number("complex(...)")

    def _no_number(self, what: str) -> CaptureError:
        return refuse(
            f"{what} reads a value that only a call will have",
            "return it, and convert it outside the function",
        )

    def __format__(self, spec: str) -> str:
        raise refuse("printing a value that only a call will have", "return it, and print it outside")

    def __str__(self) -> str:
        return self.__format__("")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        expression = expression_at(users_place()) or "np.asarray(...)"
        what = f"{expression} needs a plain array, and there is a value in it that only a call will have"
        if (expression.endswith("]") and not expression.startswith("[")) or "take(" in expression:
            raise refuse(
                what,
                "make what is picked from a Tensor, once and outside:  X = tg.Tensor(X)  and  X[index]  "
                "(for np.eye(n)[labels] there is tg.data.one_hot(labels, n))",
                Picking,
            )
        raise refuse(
            what,
            "use NumPy's functions on it as it is (np.stack and np.block join arrays, x * np.ones(shape)"
            " fills one), or make the function that needs a plain array a primitive with @tg.opaque",
        )


def examples_of(value: Any) -> Any:
    """Replace every Traced in an argument by its example."""
    return tree_map(lambda leaf: leaf.example if type(leaf) is Traced else leaf, value)


def traced_in(value: Any) -> list[Traced]:
    """List the traced arrays in an argument, however deep in containers."""
    return [leaf for leaf in leaves(value) if type(leaf) is Traced]


def owner(array: Any) -> Any:
    """Return what holds the memory that a view looks at, which may be many views away."""
    while (base := getattr(array, "base", None)) is not None:
        array = base
    return array


def _binary(ufunc: np.ufunc, plain: Function) -> tuple[Function, Function]:
    """Make an operator, and its reflection: a ufunc, or between Python's numbers Python's own operator."""

    def call(self: Traced, a: Any, b: Any, other: Any) -> Any:
        if isinstance(other, Recorded):
            return NotImplemented
        numbers = type(self.example) in PLAIN and type(examples_of(other)) in PLAIN
        return self._trace.call(plain if numbers else ufunc, (a, b))

    return (
        lambda self, other: call(self, self, other, other),
        lambda self, other: call(self, other, self, other),
    )


def _unary(ufunc: np.ufunc, plain: Function) -> Function:
    return lambda self: self._trace.call(plain if type(self.example) in PLAIN else ufunc, (self,))


def _in_place(symbol: str) -> Function:
    def operate(self: Traced, other: Any) -> Any:
        raise refuse(
            f"{symbol}= would change an array in place", f"write  x = x {symbol} y, which makes a new one"
        )

    return operate


for _name, _ufunc in {
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "matmul": np.matmul},
    **{"floordiv": np.floor_divide, "mod": np.remainder, "and": np.bitwise_and, "or": np.bitwise_or},
    **{"xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift, "divmod": np.divmod},
}.items():
    _plain = divmod if _name == "divmod" else getattr(operator, f"__{_name}__")
    _forward, _reflected = _binary(_ufunc, _plain)
    setattr(Traced, f"__{_name}__", _forward)
    setattr(Traced, f"__r{_name}__", _reflected)
    if _symbol := facts(_plain).symbol:  # divmod has none
        setattr(Traced, f"__i{_name}__", _in_place(_symbol))
Traced.__ipow__ = _in_place(facts(operator.pow).symbol)  # type: ignore[attr-defined]
for _name, _ufunc in {
    **{"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal},
    **{"eq": np.equal, "ne": np.not_equal},
}.items():
    setattr(Traced, f"__{_name}__", _binary(_ufunc, getattr(operator, f"__{_name}__"))[0])
for _name, _ufunc in {
    **{"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert},
}.items():
    setattr(Traced, f"__{_name}__", _unary(_ufunc, getattr(operator, f"__{_name}__")))
