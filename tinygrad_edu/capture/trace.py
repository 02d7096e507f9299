"""Trace: run a function once on stand-ins for its arrays, and write down every call made on them.

The one idea: a `Traced` is one more kind of array that speaks NumPy's protocols, as those of Dask and CuPy
do. It takes the place of the arrays in arguments and Tensors, so that forward pass, gradient rules and
optimizers run as they are, and every NumPy call on the way leaves a `Call` behind. Each Traced also holds an
example: the real array of this one run, from which shapes, dtypes and memory layouts are known.
"""

import functools
import operator
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..recording import (
    LEAF,
    NO_KWARGS,
    Node,
    Recorded,
    capturing,
    current_state,
    current_trace,
    function_name,
    line_of,
    make,
    next_serial,
    tensors_in,
    users_place,
)
from ..rules import IN_PLACE, REFUSED
from ..rules.indexing import getitem, is_basic
from ..rules.shapes import astype

Function = Callable[..., Any]

# functions that only read the shape or the type of their argument: their result is the same on every call
STATIC = {
    *(np.shape, np.ndim, np.size, np.iscomplexobj, np.isrealobj, np.result_type, np.can_cast),
    *(np.min_scalar_type, np.common_type, np.einsum_path, np.zeros_like, np.ones_like, np.empty_like),
    np.full_like,
    *(np.shares_memory, np.may_share_memory),
}
# functions whose result has a shape that depends on the values
SHAPED_BY_VALUES = {
    *(np.nonzero, np.flatnonzero, np.argwhere, np.unique, np.unique_values, np.unique_counts),
    *(np.unique_all, np.unique_inverse, np.extract, np.compress, np.trim_zeros, np.bincount),
    *(np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d, np.roots, np.histogram),
}
# functions whose further arguments say what shape the result has
SHAPED_BY_ARGUMENTS = {
    *(np.repeat, np.tile, np.broadcast_to, np.reshape, np.resize, np.pad, np.delete, np.linspace),
}
PLAIN = (bool, int, float)


class CaptureError(RuntimeError):
    """Raised when a function does what a program cannot; names the line and what to write instead."""


def refuse(what: str, instead: str) -> CaptureError:
    """Make the error that says what cannot be captured, on which of the user's lines, and what to write."""
    file, line = line_of(users_place())
    error = CaptureError(f"{file}:{line}: {what} under jit; {instead}")
    tracing = current_trace()
    if tracing is not None:
        tracing.refused = tracing.refused or error
    return error


class Call:
    """One line of the program: ``out = fn(*args, **kwargs)``.

    `place` is the user's line; `node` the recorded call whose gradient rule made it, in a backward pass.
    """

    __slots__ = ("args", "errors", "fn", "kwargs", "lender", "node", "out", "place", "pure", "scope")

    def __init__(
        self, fn: Function, args: tuple[Any, ...], kwargs: Any, place: Any, node: Node | None = None
    ):
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.place = place
        self.node = node
        self.pure = True
        self.scope = current_state().scope if place is not None else ()
        self.out: Any = None
        self.lender: Any = None  # the argument whose memory the result is a view of
        self.errors: Any = None  # np.errstate, where it is another one than around the function

    @property
    def name(self) -> str:
        """The function's name as NumPy spells it."""
        return function_name(self.fn).rpartition(".")[2]


class Input(NamedTuple):
    """Where a value comes from on every call: an argument, a Tensor, its gradient, or a live number."""

    kind: str
    origin: Any


class Traced:
    """Stands for an array, or a Python number, that is another one on each call of the program."""

    __slots__ = ("call", "example", "name", "tracing")
    __hash__ = object.__hash__
    __array_priority__ = 1

    def __init__(self, tracing: Any, example: Any, call: Call | None = None, name: str | None = None):
        self.tracing = tracing
        self.example = example
        self.call = call
        self.name = name

    def __repr__(self) -> str:
        return f"Traced({self.name or 'value'}, example={self.example!r})"

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
        if self._seen_elsewhere and not name.startswith("__"):
            return getattr(example, name)
        if name in METHODS and hasattr(example, name):
            return functools.partial(self._method, METHODS[name])
        if name in VALUES and hasattr(example, name):
            raise refuse(f"{name} reads values that only a call will have", VALUES[name])
        raise AttributeError(f"{type(example).__name__!r} object under jit has no attribute {name!r}")

    # What happens to it: written down

    def _method(self, fn: Function, *args: Any, **kwargs: Any) -> Any:
        return self.tracing.call(fn, (self, *args), kwargs)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if current_trace() is not self.tracing:
            return elsewhere(ufunc if method == "__call__" else getattr(ufunc, method), inputs, kwargs)
        if any(isinstance(x, Recorded) for x in inputs):
            return NotImplemented  # it is the Tensor's turn, which has a Traced inside
        if kwargs.get("out") is not None or method == "at":
            raise refuse(f"np.{ufunc.__name__} writing into an array is lost", "use what it returns")
        fn = ufunc if method == "__call__" else getattr(ufunc, method)
        return self.tracing.call(fn, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if current_trace() is not self.tracing:
            return elsewhere(func, args, kwargs)
        if any(issubclass(kind, Recorded) for kind in types):
            return NotImplemented
        if kwargs.get("out") is not None:
            raise refuse(f"{function_name(func)} writing into an array is lost", "use what it returns")
        return self.tracing.call(func, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        return self.tracing.call(getitem, (self, index))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """Return the elements in another shape."""
        new = shape[0] if len(shape) == 1 else shape
        return self.tracing.call(np.reshape, (self, new), {} if order == "C" else {"order": order})

    def transpose(self, *axes: Any) -> Any:
        """Return the axes in another order."""
        order = axes[0] if len(axes) == 1 else axes or None
        return self.tracing.call(np.transpose, (self, order))

    @property
    def T(self) -> Any:
        """The axes in reversed order."""
        return self.transpose()

    @property
    def mT(self) -> Any:
        """The last two axes swapped."""
        return self.tracing.call(np.swapaxes, (self, -1, -2))

    @property
    def real(self) -> Any:
        """The real part."""
        return self.tracing.call(np.real, (self,))

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return self.tracing.call(np.imag, (self,))

    def copy(self, order: str = "C") -> Any:
        """Return a copy, in this order of memory."""
        return self.tracing.call(np.copy, (self, order))

    def flatten(self, order: str = "C") -> Any:
        """Return a copy in one axis."""
        return self.copy(order).reshape(-1, order=order)

    def __round__(self, decimals: int | None = None) -> Any:
        return self.tracing.call(np.round, (self, decimals or 0))

    def astype(self, dtype: Any, copy: bool = True, **how: Any) -> Any:
        """Return the elements converted to another type."""
        if how:
            raise refuse(f"astype with {', '.join(how)}=", "leave that out")
        return self if not copy and self.dtype == dtype else self.tracing.call(astype, (self, dtype))

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
            return self.tracing.call(short[exponent], (base,))
        scalars = not any(isinstance(_real(x), np.ndarray) for x in (base, exponent))
        return self.tracing.call(operator.pow if scalars else np.power, (base, exponent))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise refuse("writing into an array", "write  x = tg.Tensor(x).at[index].set(value)  or np.where")

    # What would read its values

    @property
    def _seen_elsewhere(self) -> bool:
        """Whether another thread looks at it, to which a Tensor that is traced through is as it was."""
        return self.call is None and self.tracing is not None and current_trace() is not self.tracing

    def __bool__(self) -> bool:
        if self._seen_elsewhere:
            return bool(self.example)
        answer: bool = self.tracing.branch(self)
        return answer

    def __float__(self) -> float:
        if self._seen_elsewhere:
            return float(self.example)
        raise self._no_number("float(...)")

    def __int__(self) -> int:
        if self._seen_elsewhere:
            return int(self.example)
        raise self._no_number("int(...)")

    def __index__(self) -> int:
        if self._seen_elsewhere:
            return int(self.example.__index__())
        raise self._no_number("using a computed number as an index or a count")

    def __complex__(self) -> complex:
        raise self._no_number("complex(...)")

    def _no_number(self, what: str) -> CaptureError:
        return refuse(
            f"{what} reads a value that only a call will have",
            "return it, and convert it outside the function",
        )

    def __format__(self, spec: str) -> str:
        if self._seen_elsewhere:
            return format(self.example, spec)
        raise refuse("printing a value that only a call will have", "return it, and print it outside")

    def __str__(self) -> str:
        return self.__format__("")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if self._seen_elsewhere:
            return np.array(self.example, dtype=dtype)
        raise refuse(
            "np.asarray(...) of a value that only a call will have",
            "use NumPy's functions on it as it is (np.stack([a, b]) joins arrays, x * np.ones(shape) fills "
            "one), or make the function that needs a plain array a primitive with @tg.opaque",
        )


def _real(value: Any) -> Any:
    """Replace every Traced in an argument by its example."""
    kind = type(value)
    if kind is Traced:
        return value.example
    if kind is list or isinstance(value, tuple):
        items = [_real(item) for item in value]
        return kind(*items) if hasattr(value, "_fields") else kind(items)
    if kind is dict:
        return {key: _real(item) for key, item in value.items()}
    if kind is slice:
        return slice(_real(value.start), _real(value.stop), _real(value.step))
    return value


def traced_in(value: Any) -> list[Traced]:
    """List the stand-ins in an argument, however deep in lists, tuples and dicts."""
    kind = type(value)
    if kind is Traced:
        return [value]
    if kind is list or isinstance(value, tuple):
        return [t for item in value for t in traced_in(item)]
    if kind is dict:
        return [t for item in value.values() for t in traced_in(item)]
    if kind is slice:
        return traced_in((value.start, value.stop, value.step))
    return []


METHODS: dict[str, Function] = {
    name: getattr(np, name)
    for name in (
        *("all", "any", "argmax", "argmin", "argsort", "argpartition", "clip", "conj", "conjugate"),
        *("cumprod", "cumsum", "diagonal", "dot", "max", "mean", "min", "prod", "ravel", "repeat", "round"),
        *("searchsorted", "squeeze", "std", "sum", "swapaxes", "take", "trace", "var", "nonzero", "choose"),
    )
}
VALUES = {
    **dict.fromkeys(("item", "tolist", "tobytes", "dump", "dumps"), "return it, and read it outside"),
    **dict.fromkeys(("fill", "put", "sort", "partition", "resize", "byteswap"), "use what NumPy returns"),
}


def _kept(value: Any) -> Any:
    """Copy the arrays in an argument: the function may write something else into them afterwards."""
    kind = type(value)
    if kind is np.ndarray:
        return value.copy(order="K")
    if kind is list or isinstance(value, tuple):
        items = [_kept(item) for item in value]
        return kind(*items) if hasattr(value, "_fields") else kind(items)
    return {key: _kept(item) for key, item in value.items()} if kind is dict else value


def _lender(call: Call, value: Any) -> Traced | None:
    """Find the argument whose memory a result lies in: that of the array it is a view of, or itself."""
    if not isinstance(value, np.ndarray):
        return None
    held = owner(value)
    lent = [t for t in traced_in(call.args) + traced_in(call.kwargs) if isinstance(t.example, np.ndarray)]
    return next((t for t in lent if owner(t.example) is held), None)


def owner(array: Any) -> Any:
    """Return the array that holds the memory that a view looks at."""
    while isinstance(array, np.ndarray) and isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _binary(ufunc: np.ufunc, plain: Function) -> tuple[Function, Function]:
    """Make an operator, and its reflection: a ufunc, or between Python's numbers Python's own operator."""

    def call(self: Traced, a: Any, b: Any, other: Any) -> Any:
        if isinstance(other, Recorded):
            return NotImplemented
        numbers = type(self.example) in PLAIN and type(_real(other)) in PLAIN
        return self.tracing.call(plain if numbers else ufunc, (a, b))

    return (
        lambda self, other: call(self, self, other, other),
        lambda self, other: call(self, other, self, other),
    )


def _unary(ufunc: np.ufunc, plain: Function) -> Function:
    return lambda self: self.tracing.call(plain if type(self.example) in PLAIN else ufunc, (self,))


def _in_place(symbol: str) -> Function:
    def operate(self: Traced, other: Any) -> Any:
        raise refuse(
            f"{symbol} would change an array in place", f"write  x = x {symbol[:-1]} y, which makes a new one"
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
for _name, _ufunc in {
    **{"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal},
    **{"eq": np.equal, "ne": np.not_equal},
}.items():
    setattr(Traced, f"__{_name}__", _binary(_ufunc, getattr(operator, f"__{_name}__"))[0])
for _name, _ufunc in {
    "neg": np.negative,
    "pos": np.positive,
    "abs": np.absolute,
    "invert": np.invert,
}.items():
    setattr(Traced, f"__{_name}__", _unary(_ufunc, getattr(operator, f"__{_name}__")))
for _name, _symbol in {
    **{"iadd": "+=", "isub": "-=", "imul": "*=", "itruediv": "/=", "ipow": "**=", "ifloordiv": "//="},
    **{"imod": "%=", "iand": "&=", "ior": "|=", "ixor": "^=", "ilshift": "<<=", "irshift": ">>="},
    "imatmul": "@=",
}.items():
    setattr(Traced, f"__{_name}__", _in_place(_symbol))


class Fact(NamedTuple):
    """Something that decided what was computed: how to ask for it, the answer, and the object it is about."""

    get: Callable[[], Any]
    answer: Any
    of: Any


class Lifted(NamedTuple):
    """A Tensor from outside whose array has a stand-in during the trace, and how it was before."""

    tensor: Any
    data: Any
    grad: Any
    node: Any
    stand_in: Traced
    hooks: Any


class Trace:
    """Writes down the calls made while it is active; knows what they read and what they change."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.inputs: dict[Traced, Input] = {}
        self.lifted: dict[int, Lifted] = {}
        self.facts: list[Fact] = []
        self.owners: dict[Traced, Any] = {}  # of live numbers
        self.effects: list[Callable[[], None]] = []
        self.gradients: list[tuple[Traced, Traced, Node]] = []  # a value, its gradient, the call: for names
        self.errors = np.geterr()
        self.began = next_serial()
        self.applied: dict[int, Any] = {}  # what optimizers have done so far, by their ids
        self.refused: CaptureError | None = None  # what was refused first, should somebody catch it
        self.node: Node | None = None  # whose gradient rule is running
        self.assigned: set[int] = set()  # ids of Tensors that got new values
        self.generators: dict[int, tuple[np.random.Generator, Any, Traced]] = {}  # as they were before

    # What comes in

    def input(self, kind: str, origin: Any, example: Any, name: str | None) -> Traced:
        """Make the stand-in for something that is another one on every call."""
        stand_in = Traced(self, example, None, name)
        self.inputs[stand_in] = Input(kind, origin)
        return stand_in

    def number(self, get: Callable[[], Any], name: str, of: Any = None) -> Traced:
        """Make the stand-in for a Python number that is asked for on every call."""
        stand_in = self.input("number", get, get(), name)
        self.owners[stand_in] = of
        return stand_in

    def fact(self, get: Callable[[], Any], of: Any = None) -> Any:
        """Note a fact that the program depends on: with another answer, it needs another program."""
        answer = get()
        self.facts.append(Fact(get, answer, of))
        return answer

    def read(self, args: Any, kwargs: Any = NO_KWARGS) -> None:
        """Put stand-ins into the Tensors among the arguments of a call that come from outside."""
        for tensor in tensors_in(args):
            self.lift(tensor)
        if kwargs:
            self.read(tuple(kwargs.values()))

    def lift(self, tensor: Any) -> None:
        """Put a stand-in into a Tensor from outside, and into its gradient, if it has one."""
        data = tensor.data
        if type(data) is Traced or id(tensor) in self.lifted or isinstance(data, tuple):
            return
        if tensor.node is not None and tensor.node is not LEAF:
            if tensor.node.serial > self.began:  # made inside, of shapes alone, as by np.ones_like
                return
            raise refuse(
                "using a Tensor that was computed outside the function, from others that need gradients,",
                "compute it inside, or give it to the function as an argument",
            )
        if not isinstance(data, (np.ndarray, np.generic)):
            raise Foreign(type(data))
        stand_in = self.input("tensor", tensor, data, tensor.name)
        self.lifted[id(tensor)] = Lifted(tensor, data, tensor.grad, tensor.node, stand_in, tensor.hooks)
        tensor.data = stand_in
        if tensor.grad is not None:
            name = f"d_{tensor.name}" if tensor.name else None
            tensor.grad = make(self.input("grad", tensor, tensor.grad.data, name))

    def assign(self, tensor: Any, value: Any) -> None:
        """Note that a Tensor from outside is about to get new values."""
        self.assigned.add(id(tensor))
        if type(tensor.data) is Traced:
            return
        plain = value.data if isinstance(value, Recorded) else value
        if id(tensor) not in self.lifted and type(plain) is not Traced:
            raise refuse(
                "assigning to a Tensor what no value of this call went into (w.data is a plain array until "
                "the Tensor itself is used)",
                "compute with the Tensor, as in  w.assign(w - 0.1 * w.grad)",
            )
        self.lift(tensor)

    # What happens

    def call(self, fn: Function, args: tuple[Any, ...], kwargs: Any = NO_KWARGS) -> Any:
        """Run a call on examples, and write it down if anything in it may differ from call to call."""
        inside = traced_in(args) + (traced_in(kwargs) if kwargs else [])
        if not inside:
            return fn(*args, **kwargs)
        if current_trace() is not self:
            return elsewhere(fn, args, kwargs)
        if _shaped_by_values(fn, args):
            raise refuse(
                f"{function_name(fn)} has a result whose shape depends on values",
                "keep all elements and mask them, as in np.where(mask, x, 0)",
            )
        if REFUSED.get(fn) == IN_PLACE:
            raise refuse(
                f"{function_name(fn)} changes an array in place", "use a function that returns a new one"
            )
        value = fn(*_real(args), **_real(kwargs))
        if fn in STATIC and not (fn is np.full_like and traced_in(args[1:])):
            return value
        return self.record(Call(fn, _kept(args), _kept(dict(kwargs)), users_place(), self.node), value)

    def record(self, call: Call, value: Any) -> Any:
        """Write a call down; return a stand-in for its result, or for each of its results."""
        errors = np.geterr()
        call.errors = errors if errors != self.errors else None
        if call.lender is None:
            call.lender = _lender(call, value)
        if isinstance(value, (tuple, list)):
            call.out = Traced(self, value, call)
            self.calls.append(call)
            parts = [self._part(call.out, i, part) for i, part in enumerate(value)]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        if hasattr(value, "__array_function__") and not isinstance(value, np.ndarray):
            raise Foreign(type(value))
        if not (isinstance(value, (np.ndarray, np.generic)) or type(value) in PLAIN):
            raise refuse(
                f"{function_name(call.fn)} gives a {type(value).__name__}", "let it return arrays or numbers"
            )
        call.out = Traced(self, value, call)
        self.calls.append(call)
        return call.out

    def _part(self, whole: Traced, index: int, example: Any) -> Traced:
        assert whole.call is not None
        call = Call(operator.getitem, (whole, index), {}, whole.call.place, self.node)
        call.lender = _lender(whole.call, example)
        part: Traced = self.record(call, example)
        return part

    def draw(self, generator: Callable[[], np.random.Generator], method: str, args: Any) -> Any:
        """Write down a drawing of random numbers, which is made anew on every call."""
        rng = generator()
        if id(rng) not in self.generators:
            stand_in = self.input("number", generator, None, "rng")
            self.generators[id(rng)] = rng, rng.bit_generator.state, stand_in
        value = getattr(rng, method)(*_real(args))
        call = Call(Draw(method), (self.generators[id(rng)][2], *args), {}, users_place(), self.node)
        call.pure = False
        return self.record(call, value)

    def branch(self, value: Traced) -> bool:
        """Decide an ``if``: allowed on live numbers such as a momentum, where it is noted as a fact."""
        source = self.inputs.get(value)
        if source is not None and source.kind == "number":
            origin = source.origin
            return bool(self.fact(lambda: bool(origin()), self.owners.get(value)))
        if type(value.example) in PLAIN:
            raise refuse(
                "branching on a float, which may be another one on each call,",
                "give it as a bool or an int, whose every value has a program of its own",
            )
        raise refuse(
            "branching on a computed value",
            "write  np.where(condition, a, b), or decide outside and give the decision as a bool argument",
        )

    def refusal(self, what: str, instead: str) -> CaptureError:
        """Return the error for what only the caller knows to be impossible."""
        return refuse(what, instead)

    def differentiate(self, vertex: Any, total: Any) -> None:
        """Note that the gradient of a recorded value is complete, and that its rule runs next."""
        node = vertex.node
        self.node = None if node is LEAF else node
        if type(vertex.data) is Traced:
            self.gradients.append((vertex.data, total, node))


def elsewhere(fn: Function, args: Any, kwargs: Any) -> Any:
    """Answer a call that is not part of the trace: another thread uses a Tensor that is being traced through.

    It gets the array that the Tensor had. What was computed inside the trace must not be used outside of it.
    """
    for value in [*traced_in(tuple(args)), *traced_in(kwargs)]:
        if value.call is not None or value.tracing is None:
            raise CaptureError(
                "a value computed inside a jitted function was used outside of it; return it from there"
            )
    return fn(*_real(tuple(args)), **_real(kwargs))


class Draw:
    """A method of a generator of random numbers, as a function of the generator."""

    __slots__ = ("__name__",)

    def __init__(self, name: str):
        self.__name__ = name

    def __call__(self, generator: np.random.Generator, *args: Any, **kwargs: Any) -> Any:
        """Draw."""
        return getattr(generator, self.__name__)(*args, **kwargs)


class Foreign(TypeError):
    """Met an array that is not NumPy's: such functions run eagerly."""


def _shaped_by_values(fn: Function, args: tuple[Any, ...]) -> bool:
    """Tell whether the shape of a result depends on values: of a mask, of a number of repeats."""
    if fn in SHAPED_BY_ARGUMENTS:
        return bool(traced_in(args[1:]))
    if fn is np.where:
        return len(args) == 1
    if fn is not getitem:
        return fn in SHAPED_BY_VALUES
    index = args[1]
    parts = index if isinstance(index, tuple) else (index,)
    if any(type(part) is slice and traced_in(part) for part in parts):
        return True
    return any(type(part) is Traced and part.dtype.kind == "b" for part in parts if not is_basic(part))


class Record(NamedTuple):
    """What a trace has written down: the calls, and what they read, return and change."""

    calls: list[Call]
    inputs: dict[Traced, Input]
    result: Any
    updates: list[tuple[Any, Any]]  # pairs of a Tensor and its new values
    gradients: list[tuple[Any, Any]]  # pairs of a Tensor and its new gradient, or None
    tensors: list[Lifted]
    facts: list[Fact]
    effects: list[Callable[[], None]]
    names: list[tuple[Traced, Traced, Node]]


def trace(
    function: Callable[["Trace"], Any], tensors: Sequence[Any] = (), generators: Sequence[Any] = ()
) -> Record:
    """Run a function of the trace under it, and return what was written down. Nothing outside is changed.

    `tensors` are known to be read from outside; `generators` of random numbers are within reach.
    """
    tracing = Trace()
    states = {id(source): (source, _state_of(source)) for source in (np.random, random, *generators)}
    try:
        with capturing(tracing):
            for tensor in tensors:
                tracing.lift(tensor)
            result = function(tracing)
            if tracing.refused is not None:  # and caught on the way, where a program would not have got
                raise tracing.refused
            for key, (source, state) in states.items():
                if key not in tracing.generators and not _equal(_state_of(source), state):
                    raise refuse("random numbers were drawn that every call would use again", DRAW)
        updates, gradients = _changes(tracing)
    finally:
        _restore(tracing)
        for source, state in states.values():
            _set_state(source, state)  # what was drawn for the examples is drawn again
    return Record(
        tracing.calls,
        tracing.inputs,
        result,
        updates,
        gradients,
        list(tracing.lifted.values()),
        tracing.facts,
        tracing.effects,
        tracing.gradients,
    )


DRAW = (
    "draw with tg.random, whose numbers are new on each call (tg.random.normal(shape, source=generator)), or "
    "give the numbers as an argument"
)


def _state_of(source: Any) -> Any:
    """Return the state of a generator, or of the functions of np.random or of Python's random."""
    if source is random:
        return random.getstate()
    legacy = source is np.random or isinstance(source, np.random.RandomState)
    return source.get_state(legacy=False) if legacy else source.bit_generator.state


def _set_state(source: Any, state: Any) -> None:
    if source is random:
        random.setstate(state)
    elif source is np.random or isinstance(source, np.random.RandomState):
        source.set_state(state)
    else:
        source.bit_generator.state = state


def _equal(a: Any, b: Any) -> bool:
    """Compare two states of generators."""
    if isinstance(a, dict):
        return all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return bool(a == b)
    return bool(np.array_equal(a, b))


def _restore(tracing: Trace) -> None:
    """Give everything outside the values that it had before."""
    for tensor, data, grad, *_ in tracing.lifted.values():
        if type(tensor.data) is Traced or id(tensor) in tracing.assigned:  # not by another thread
            tensor.data = data
        tensor.grad = grad
    for generator, state, _ in tracing.generators.values():
        _set_state(generator, state)


def _changes(tracing: Trace) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
    """List the Tensors that got new values, and those that got another gradient."""
    updates, gradients = [], []
    for tensor, _, grad, _, stand_in, _ in tracing.lifted.values():
        if tensor.data is not stand_in:
            updates.append((tensor, tensor.data))
        now = None if tensor.grad is None else tensor.grad.data
        source = tracing.inputs.get(now) if type(now) is Traced else None
        same = source is not None and source.kind == "grad" and source.origin is tensor
        if not (now is None and grad is None) and not same:
            gradients.append((tensor, now))
    return updates, gradients
