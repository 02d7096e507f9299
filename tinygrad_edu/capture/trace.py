"""Trace: run a function once on traced arrays, and write down every call made on them.

Traced arrays take the place of the arrays in arguments, and of those that Tensors from outside hold (see
`Recorded.data`), so that forward pass, gradient rules and optimizers run as they are, and every NumPy call on
the way leaves a `Call` behind. The Tensors themselves are never changed: what they become is noted in the
trace, so that other threads, and whoever interrupts it, find them as they were.
"""

import copy
import operator
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..callsites import users_place
from ..containers import like, tree_map
from ..keeping import kept_leaf
from ..recording import LEAF, NO_KWARGS, Node, make, next_serial
from ..rules import FILLS, IN_PLACE, REFUSED, function_name
from ..rules.indexing import getitem, is_basic
from ..state import call_traced, current_state
from .facts import facts
from .traced import PLAIN, CaptureError, Function, Traced, examples_of, owner, refuse, traced_in


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
    """Where a value comes from on every call: an argument, a Tensor, a gradient, a number or a generator."""

    kind: str
    origin: Any


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


class Numbered:
    """A number among an object's attributes, its traced array, and how often it has been counted up."""

    traced: Traced

    def __init__(self, owner: Any, name: str):
        self.owner, self.name, self.advanced = owner, name, 0

    def get(self) -> Any:
        """Return the number as it is now."""
        return vars(self.owner)[self.name]


class Lifted:
    """A Tensor from outside, and what it has become under the trace: an array, a gradient.

    `node`, `hooks` and `gradient_before` are as they were when it was first used, which a program relies on.
    """

    def __init__(self, tensor: Any, traced: Traced, gradient: Any):
        self.tensor = tensor
        self.traced = self.value = traced
        self.gradient_before = self.gradient = gradient
        self.node, self.hooks = tensor.node, tensor.hooks


class Trace:
    """Writes down the calls made while it is active; knows what they read and what they change."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.inputs: dict[Traced, Input] = {}
        self.lifted: dict[int, Lifted] = {}
        self.facts: list[Fact] = []
        self.numbers: dict[tuple[int, str], Numbered] = {}
        self.gradients: list[tuple[Traced, Traced, Node]] = []  # a value, its gradient, the call: for names
        self.errors = np.geterr()
        self.began = next_serial()
        self.refused: CaptureError | None = None  # what was refused first, should somebody catch it
        self.node: Node | None = None  # whose gradient rule is running
        # copies of generators, for examples to be drawn from, and what stands for the generators themselves
        self.generators: dict[int, tuple[np.random.Generator, Traced]] = {}

    # What comes in

    def input(self, kind: str, origin: Any, example: Any, name: str | None) -> Traced:
        """Make the traced array for something that is another one on every call."""
        traced = Traced(self, example, None, name)
        self.inputs[traced] = Input(kind, origin)
        return traced

    def number(self, owner: Any, name: str) -> Any:
        """Return what stands for a number among an object's attributes, which is read anew on each call."""
        found = self._numbered(owner, name)
        if not found.advanced:
            return found.traced
        return self.call(operator.add, (found.traced, found.advanced))

    def advance(self, owner: Any, name: str) -> None:
        """Count up such a number, on each call."""
        self._numbered(owner, name).advanced += 1

    def advanced(self, owner: Any, name: str) -> int:
        """Return how often such a number has been counted up so far."""
        found = self.numbers.get((id(owner), name))
        return 0 if found is None else found.advanced

    def _numbered(self, owner: Any, name: str) -> Numbered:
        if (id(owner), name) not in self.numbers:
            found = Numbered(owner, name)
            found.traced = self.input("number", found, vars(owner)[name], name)
            self.numbers[id(owner), name] = found
        return self.numbers[id(owner), name]

    def fact(self, get: Callable[[], Any], of: Any = None) -> Any:
        """Note a fact that the program depends on: with another answer, it needs another program."""
        answer = get()
        self.facts.append(Fact(get, answer, of))
        return answer

    # Tensors from outside

    def value(self, tensor: Any) -> Any:
        """Return the array that a Tensor has under this trace."""
        return tensor._data if self._is_from_inside(tensor) else self.lift(tensor).value

    def assign(self, tensor: Any, value: Any) -> None:
        """Give a Tensor another array under this trace."""
        if self._is_from_inside(tensor):
            tensor._data = value
        else:
            self.lift(tensor).value = value

    def gradient(self, tensor: Any) -> Any:
        """Return the gradient that a Tensor has under this trace: a Tensor or None."""
        return tensor._grad if self._is_from_inside(tensor) else self.lift(tensor).gradient

    def assign_gradient(self, tensor: Any, gradient: Any) -> None:
        """Give a Tensor another gradient under this trace."""
        if self._is_from_inside(tensor):
            tensor._grad = gradient
        else:
            self.lift(tensor).gradient = gradient

    def _is_from_inside(self, tensor: Any) -> bool:
        """Tell whether a Tensor was made under this trace, which nobody outside can see."""
        if type(tensor._data) is Traced or isinstance(tensor._data, tuple):
            return True
        recorded = tensor.node is not None and tensor.node is not LEAF
        if recorded and tensor.node.serial < self.began:
            raise refuse(
                "using a Tensor that was computed outside the function, from others that need gradients,",
                "compute it inside, or give it to the function as an argument",
            )
        return recorded  # of shapes alone, as by np.ones_like

    def lift(self, tensor: Any) -> Lifted:
        """Return what a Tensor from outside is under this trace."""
        if id(tensor) in self.lifted:
            return self.lifted[id(tensor)]
        if not isinstance(tensor._data, (np.ndarray, np.generic)):
            raise Foreign(type(tensor._data))
        traced = self.input("tensor", tensor, tensor._data, tensor.name)
        gradient = tensor._grad
        if gradient is not None:
            name = f"d_{tensor.name}" if tensor.name else None
            gradient = make(self.input("grad", tensor, gradient._data, name))
        lifted = self.lifted[id(tensor)] = Lifted(tensor, traced, gradient)
        return lifted

    # What happens

    def call(self, fn: Function, args: tuple[Any, ...], kwargs: Any = NO_KWARGS) -> Any:
        """Run a call on examples, and write it down if anything in it may differ from call to call."""
        inside = traced_in(args) + (traced_in(kwargs) if kwargs else [])
        if not inside:
            return fn(*args, **kwargs)
        if _shaped_by_values(fn, args):
            raise refuse(
                f"{function_name(fn)} has a result whose shape depends on values",
                "keep all elements and mask them, as in np.where(mask, x, 0)",
            )
        if REFUSED.get(fn) in (IN_PLACE, FILLS):
            raise refuse(
                f"{function_name(fn)} changes an array in place", "use a function that returns a new one"
            )
        value = fn(*examples_of(args), **examples_of(kwargs))
        if facts(fn).static and not (fn is np.full_like and traced_in(args[1:])):
            return value
        args, kwargs = tree_map(kept_leaf, args), tree_map(kept_leaf, dict(kwargs))
        return self.record(Call(fn, args, kwargs, users_place(), self.node), value)

    def record(self, call: Call, value: Any) -> Any:
        """Write a call down; return a traced array for its result, or for each of its results."""
        errors = np.geterr()
        call.errors = errors if errors != self.errors else None
        if call.lender is None:
            call.lender = _lender(call, value)
        if isinstance(value, (tuple, list, dict)):
            call.out = Traced(self, value, call)
            self.calls.append(call)
            keys = value if isinstance(value, dict) else range(len(value))
            return like(value, [self._part(call.out, key, value[key]) for key in keys])
        if hasattr(value, "__array_function__") and not isinstance(value, np.ndarray):
            raise Foreign(type(value))
        if not (isinstance(value, (np.ndarray, np.generic)) or type(value) in PLAIN):
            raise refuse(
                f"{function_name(call.fn)} gives a {type(value).__name__}", "let it return arrays or numbers"
            )
        call.out = Traced(self, value, call)
        self.calls.append(call)
        return call.out

    def _part(self, whole: Traced, index: Any, example: Any) -> Traced:
        assert whole.call is not None
        call = Call(operator.getitem, (whole, index), {}, whole.call.place, self.node)
        call.lender = _lender(whole.call, example)
        part: Traced = self.record(call, example)
        return part

    def draw(self, generator: Callable[[], np.random.Generator], method: str, args: Any) -> Any:
        """Write down a drawing of random numbers, which is made anew on every call."""
        rng = generator()
        if id(rng) not in self.generators:
            self.generators[id(rng)] = copy.deepcopy(rng), self.input("generator", generator, rng, "rng")
        double, traced = self.generators[id(rng)]
        value = getattr(double, method)(*examples_of(args))
        call = Call(Draw(method), (traced, *args), {}, users_place(), self.node)
        call.pure = False
        return self.record(call, value)

    def example(self, value: Any) -> Any:
        """Return the value of the run that the program is made from."""
        return value.example if type(value) is Traced else value

    def branch(self, value: Traced) -> bool:
        """Decide an ``if``: allowed on declared numbers such as a momentum, where it is noted as a fact."""
        source = self.inputs.get(value)
        if source is not None and source.kind == "number":
            numbered = source.origin
            about = numbered.owner if type(value.example) is float else None  # counts change by themselves
            return bool(self.fact(lambda: bool(numbered.get()), about))
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
        value = None if isinstance(vertex._data, tuple) else self.value(vertex)
        if type(value) is Traced:
            self.gradients.append((value, total, node))


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
    counted: list[Numbered]  # numbers that are counted up
    names: list[tuple[Traced, Traced, Node]]


def trace(function: Callable[["Trace"], Any], generators: Sequence[Any] = ()) -> Record:
    """Run a function of the trace under it, and return what was written down. Nothing outside is changed.

    `generators` of random numbers are within the function's reach.
    """
    tracing = Trace()
    states = [(source, _state_of(source)) for source in (np.random, random, *generators)]
    try:
        result = call_traced(tracing, function, tracing)
        if tracing.refused is not None:  # and caught on the way, where a program would not have got
            raise tracing.refused
    finally:
        drawn = [(source, state) for source, state in states if not _equal(_state_of(source), state)]
        for source, state in drawn:
            _set_state(source, state)
    if drawn:
        raise refuse("random numbers were drawn that every call would use again", DRAW)
    updates, gradients = _changes(tracing)
    return Record(
        tracing.calls,
        tracing.inputs,
        result,
        updates,
        gradients,
        list(tracing.lifted.values()),
        tracing.facts,
        [found for found in tracing.numbers.values() if found.advanced],
        tracing.gradients,
    )


DRAW = (
    "draw with tg.random, whose numbers are new on each call (tg.random.normal(shape, source=generator)), or "
    "give the numbers as an argument"
)


def _state_of(source: Any) -> Any:
    """Return the state of a generator, or of the functions of np.random or of Python's random."""
    if source is random or isinstance(source, random.Random):
        return source.getstate()
    legacy = source is np.random or isinstance(source, np.random.RandomState)
    return source.get_state(legacy=False) if legacy else source.bit_generator.state


def _set_state(source: Any, state: Any) -> None:
    if source is random or isinstance(source, random.Random):
        source.setstate(state)
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


def _changes(tracing: Trace) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
    """List the Tensors that got new values, and those that got another gradient."""
    everything = tracing.lifted.values()
    updates = [(lifted.tensor, lifted.value) for lifted in everything if lifted.value is not lifted.traced]
    gradients = [
        (lifted.tensor, None if lifted.gradient is None else lifted.gradient._data)
        for lifted in everything
        if lifted.gradient is not lifted.gradient_before
    ]
    return updates, gradients
