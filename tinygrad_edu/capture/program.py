"""Program: what was traced, and what the passes make of it; data, until an emitter writes it out.

A pass changes a `Program` in place (`passes` lists them). What comes after the passes needs nothing else of
them: an `Emitter` makes something that runs of it, and says in an `Emitted` how to call that.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .trace import Call, Fact, Input, Lifted, Numbered
from .traced import Traced, traced_in

if TYPE_CHECKING:
    from .homes import Block, Home


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
    """A home as the program sees it: traced arrays for its arrays, the flat one first, and then its parts."""

    home: "Home"
    now: list[Traced]
    new: list[Traced]


class Plan(NamedTuple):
    """Where everything is: for each value in memory its root, for each root its buffer."""

    root: dict[Traced, Traced]
    views: set[Traced]  # values that are views of their root
    buffer: dict[Traced, Traced]  # for a root in a buffer: the first value that was in it


@dataclass
class Program:
    """Calls in order, where their results are kept, and what is read, returned and changed."""

    calls: list[Call]  # the lines of the program
    inputs: dict[Traced, Input]  # where values come from on every call
    result: Any  # what the function returns, with traced arrays
    updates: list[tuple[Any, Any]]  # Tensors that get new values, and these, as long as they have no home
    gradients: list[tuple[Any, Any]]  # Tensors whose `grad` is another one afterwards, and what it is
    tensors: list[Lifted]  # these and the next two as in `Record`
    facts: list[Fact]
    counted: list[Numbered]
    names: list[tuple[Any, Any, Any]]  # a value, its gradient, and the recorded call that made the value
    now: dict[Traced, Any] = field(default_factory=dict)  # what stands for values that no call makes any more
    copies: set[Traced] = field(default_factory=set)  # values whose own memory is now that of another one
    joined: list[Joined] = field(default_factory=list)
    residences: list[Residence] = field(default_factory=list)
    flats: dict[Traced, None] = field(default_factory=dict)  # flat arrays made once, of gradients
    places: dict[Traced, tuple[Traced, "Block"]] = field(default_factory=dict)  # flat arrays, where in them
    plan: Plan = field(default_factory=lambda: Plan({}, set(), {}))
    groups: list[list[Call]] = field(default_factory=list)  # the calls, together if made chunk by chunk
    counts: list[tuple[str, int]] = field(default_factory=list)  # how many calls each pass left

    def given(self) -> list[Traced]:
        """List the values that calls read although no call makes them."""
        return [*self.inputs, *self.flats, *(residence.now[0] for residence in self.residences)]

    def handed_out(self) -> list[Traced]:
        """List the values that the caller gets, each as often as they get it."""
        return traced_in([self.result, [gradient for _, gradient in self.gradients]])

    def wanted(self) -> list[Traced]:
        """List the values that are read from outside the calls."""
        return [*self.handed_out(), *traced_in([value for _, value in self.updates]), *self.places]

    def traced_arrays(self) -> dict[int, Traced]:
        """Return the traced arrays for the values that Tensors have before, by the Tensors' ids."""
        return {id(lifted.tensor): lifted.traced for lifted in self.tensors}


def reads(call: Call) -> list[Traced]:
    """List the values that a call reads, each once."""
    return list(dict.fromkeys(traced_in(call.args) + traced_in(call.kwargs)))


def readers(calls: list[Call]) -> dict[Traced, list[Call]]:
    """Find the calls that read each value."""
    found: dict[Traced, list[Call]] = {}
    for call in calls:
        for value in reads(call):
            found.setdefault(value, []).append(call)
    return found


def example(arg: Any) -> Any:
    """Return an argument as it was in the run that was traced."""
    return arg.example if type(arg) is Traced else arg


def kind(value: Traced) -> Any:
    """Return what arrays must have in common to take each other's place: shape, dtype and memory layout."""
    return value.shape, value.dtype, value.example.strides


class Emitted(NamedTuple):
    """What an emitter gives back: the program as text, and as a function that runs.

    `make` returns a new ``step`` with buffers of its own, for each that runs at the same time. A step takes
    the `arguments`, then for each residence the arrays of `now` and those of `new`, and returns a tuple.
    """

    source: str
    make: Callable[[], Callable[..., Any]]
    arguments: list[Traced]  # those of the program's inputs that a step takes, in this order
    now: list[tuple[int, ...]]  # for each residence, the arrays that are read, by number: 0 is all of it
    new: list[tuple[int, ...]]  # and those that are written to
    outputs: dict[Traced, int]  # where in the tuple a result is; arrays in it are the caller's own
    buffers: int  # arrays that are made once
    nbytes: int  # the memory that they take


class Emitter(Protocol):
    """Makes something that runs of a program: `emit.emit` NumPy source.

    One of a whole compiled step, say, would be given the same and give back the same.
    """

    def __call__(self, program: Program, title: str, names: dict[Traced, str]) -> Emitted:
        """Write a program, under a title; `names` are those of its arguments."""
