"""Trace: run a function once on stand-ins for its arrays, and write down every call made on them.

Stand-ins take the place of the arrays in arguments and Tensors, so that forward pass, gradient rules and
optimizers run as they are, and every NumPy call on the way leaves a `Call` behind.
"""

import operator
import random
from collections.abc import Callable, Sequence
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
    make,
    next_serial,
    tensors_in,
    users_place,
)
from ..rules import IN_PLACE, REFUSED
from ..rules.indexing import getitem, is_basic
from .facts import facts
from .standin import PLAIN, CaptureError, Function, Traced, elsewhere, owner, real, refuse, traced_in


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
        value = fn(*real(args), **real(kwargs))
        if facts(fn).static and not (fn is np.full_like and traced_in(args[1:])):
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
        value = getattr(rng, method)(*real(args))
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
    if facts(fn).shaped_by == "arguments":
        return bool(traced_in(args[1:]))
    if fn is np.where:
        return len(args) == 1
    if fn is not getitem:
        return facts(fn).shaped_by == "values"
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
