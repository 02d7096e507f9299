"""Program: what was traced, and what the passes make of it; data, until an emitter writes it out.

A pass changes a `Program` in place (`passes` lists them). What comes after the passes needs nothing else of
them: an `Emitter` makes something that runs of it, and says in an `Emitted` how to call that.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .standin import Traced, traced_in
from .trace import Call, Fact, Input, Lifted

if TYPE_CHECKING:
    from .pack import Block, Home


class Joined(NamedTuple):
    """Updates made by the same calls: one flat call for each, and what lies where in the flat arrays.

    `tensors[role][i]` is the Tensor of family i that plays a role (parameter, momentum, ...); `before` and
    `after` are the values of all families, by role. `leaves` are flat arrays of what else is read, gradients
    above all, each with its parts.
    """

    tensors: list[list[Any]]
    before: list[Traced]
    after: list[Traced]
    leaves: list[tuple[Traced, list[Traced]]]


class Residence(NamedTuple):
    """A home as the program sees it: the stand-ins for its arrays, now and new, whole and in parts."""

    home: "Home"
    now: Traced  # all of it, flat
    parts: list[Traced]
    new: Traced
    new_parts: list[Traced]


class Plan(NamedTuple):
    """Where everything is: for each value in memory its root, for each root its buffer."""

    root: dict[Traced, Traced]
    views: set[Traced]  # values that are views of their root
    buffer: dict[Traced, Traced]  # for a root in a buffer: the first value that was in it


@dataclass
class Program:
    """Calls in order, where their results are kept, and what is read, returned and changed.

    Attributes:
        calls: the lines of the program.
        inputs: where values come from on every call.
        result: what the function returns, with stand-ins.
        updates: Tensors that get new values, and these, as long as they have no home.
        gradients: Tensors whose ``grad`` is another one afterwards, and what it is.
        tensors, facts, effects: as in `Record`.
        names: a value, its gradient, and the recorded call that made the value, of the backward pass.
        now: what stands for a value that no call makes any more.
        copies: values that had memory of their own, or looked at it, and now lie in that of another one.
        joined: updates that are made together.
        residences: Tensors that get new values.
        flats: flat arrays made once, of gradients.
        places: for results that are kept in a flat array, which one and where in it.
        plan: which buffer each result is kept in.
        groups: the calls, those together that are to be made chunk by chunk.
        counts: how many calls each pass left.
    """

    calls: list[Call]
    inputs: dict[Traced, Input]
    result: Any
    updates: list[tuple[Any, Any]]
    gradients: list[tuple[Any, Any]]
    tensors: list[Lifted]
    facts: list[Fact]
    effects: list[Callable[[], None]]
    names: list[tuple[Any, Any, Any]]
    now: dict[Traced, Any] = field(default_factory=dict)
    copies: set[Traced] = field(default_factory=set)
    joined: list[Joined] = field(default_factory=list)
    residences: list[Residence] = field(default_factory=list)
    flats: dict[Traced, None] = field(default_factory=dict)
    places: dict[Traced, tuple[Traced, "Block"]] = field(default_factory=dict)
    plan: Plan = field(default_factory=lambda: Plan({}, set(), {}))
    groups: list[list[Call]] = field(default_factory=list)
    counts: list[tuple[str, int]] = field(default_factory=list)

    def given(self) -> list[Traced]:
        """List the values that calls read although no call makes them."""
        return [*self.inputs, *self.flats, *(residence.now for residence in self.residences)]

    def handed_out(self) -> list[Traced]:
        """List the values that the caller gets, each as often as he gets it."""
        return traced_in([self.result, [gradient for _, gradient in self.gradients]])

    def wanted(self) -> list[Traced]:
        """List the values that are read from outside the calls."""
        return [*self.handed_out(), *traced_in([value for _, value in self.updates]), *self.places]

    def stand_ins(self) -> dict[int, Traced]:
        """Return the stand-ins for the values that Tensors have before, by the Tensors' ids."""
        return {id(lifted.tensor): lifted.stand_in for lifted in self.tensors}


def reads(call: Call) -> list[Traced]:
    """List the values that a call reads, each once."""
    return list(dict.fromkeys(traced_in(call.args) + traced_in(call.kwargs)))


class Emitted(NamedTuple):
    """What an emitter gives back: the program as text, and as a function that runs.

    Attributes:
        source: the text, for people.
        make: returns a new ``step`` with buffers of its own; several may run at the same time. ``step`` takes
            the `arguments`, then for each residence the arrays of `now` and those of `new`. It returns a
            tuple of results.
        arguments: the values among the program's inputs that ``step`` takes, in this order.
        now: for each residence, the arrays that ``step`` reads, by number: 0 is all of it, 1 the first part.
        new: the same of the arrays that it writes to.
        outputs: where in the tuple of results a value is. Arrays in it are the caller's own.
        buffers: how many arrays are made once.
        nbytes: the memory that they take, in bytes.
    """

    source: str
    make: Callable[[], Callable[..., Any]]
    arguments: list[Traced]
    now: list[tuple[int, ...]]
    new: list[tuple[int, ...]]
    outputs: dict[Traced, int]
    buffers: int
    nbytes: int


class Emitter(Protocol):
    """Makes something that runs of a program: `emit.emit` NumPy source.

    Another one, of a whole compiled step, say, would be given the same and give back the same; nothing
    before or after it would change.
    """

    def __call__(self, program: Program, title: str, names: dict[Traced, str]) -> Emitted:
        """Write a program, under a title; `names` are those of its arguments."""
