"""Program: what was traced, simplified and given places in memory; data, until an emitter writes it out.

The passes run here, in order. An emitter (`emit` writes NumPy source) needs nothing but a `Program`.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from ..rules.shapes import astype
from .chunks import chunked
from .flatten import flattened
from .homes import Block, Home, blocks, home_of
from .loops import each_call, looped
from .memory import Plan, on_the_way, plan, roots, takes_out
from .pack import packed
from .simplify import reads, simplify, without_dead
from .standin import Traced, owner, traced_in
from .trace import Call, Fact, Input, Lifted, Numbered, Record


class Residence(NamedTuple):
    """A home as the program sees it: the stand-ins for its arrays, now and new, whole and in parts."""

    home: Home
    now: Traced  # all of it, flat
    parts: list[Traced]
    new: Traced
    new_parts: list[Traced]


class Program(NamedTuple):
    """Calls in order, where their results live, and what is read, returned and changed.

    Attributes:
        calls: the lines of the program.
        groups: the same, those together that are to be made chunk by chunk.
        plan: which buffer each result lives in.
        places: for results that live in a flat array, which one and where in it.
        inputs: where values come from on every call.
        residences: Tensors that get new values.
        flats: flat arrays made once, of gradients.
        result: what the function returns, with stand-ins.
        gradients: Tensors whose ``grad`` is another one afterwards, and what it is.
        advanced: numbers of objects that are counted up.
        facts, tensors: as in `Record`.
        counts: how many calls each pass left.
        names: a value, its gradient, and the recorded call that made the value, of the backward pass.
    """

    calls: list[Call]
    groups: list[list[Call]]
    plan: Plan
    places: dict[Traced, tuple[Traced, Block]]
    inputs: dict[Traced, Input]
    residences: list[Residence]
    flats: dict[Traced, None]
    result: Any
    gradients: list[tuple[Any, Any]]
    facts: list[Fact]
    advanced: list[Numbered]
    tensors: list[Lifted]
    counts: list[tuple[str, int]]
    names: list[tuple[Any, Any, Any]]


def build(record: Record, compiled: bool = False) -> Program:
    """Run all passes; with those for loops that are to be `compiled`."""
    calls, current, outward, counts = simplify(record)
    result = outward(record.result)
    updates = [(tensor, current(value)) for tensor, value in record.updates]
    gradients = [(tensor, outward(value)) for tensor, value in record.gradients]
    kept = traced_in([result, [g for _, g in gradients]])
    stand_ins = {id(lifted.tensor): lifted.stand_in for lifted in record.tensors}
    once = Counter(id(value) for _, value in updates)
    moved = [(tensor, value) for tensor, value in updates if type(value) is Traced and once[id(value)] == 1]
    calls, groups = packed(calls, moved, kept, stand_ins)
    counts.append(("updates joined", len(calls)))
    calls = flattened(calls)

    builder = _Builder(calls, record, stand_ins)
    for group in groups:
        builder.gather(group.leaves)
        for tensors, before, after in zip(group.tensors, group.before, group.after, strict=True):
            builder.reside(tensors, before, after)
    joined = {id(tensor) for group in groups for tensors in group.tensors for tensor in tensors}
    for tensor, value in updates:
        if id(tensor) not in joined:
            builder.settle(tensor, value)
    calls = without_dead(builder.calls, [*kept, *builder.places])
    if compiled:
        calls = looped(calls, [*kept, *builder.places])
        counts.append(("loops joined", len(calls)))
    builder.places |= on_the_way(calls, builder.places, {*record.inputs, *builder.stand_ins()}, kept)
    inputs = [*record.inputs, *builder.stand_ins()]
    placed = {value: place[0] for value, place in builder.places.items()}
    planned = plan(calls, inputs, kept, placed, builder.flats)
    return Program(
        calls,
        list(chunked(calls, planned, builder.places)),
        planned,
        builder.places,
        record.inputs,
        builder.residences,
        builder.flats,
        result,
        gradients,
        record.facts,
        record.counts,
        record.tensors,
        counts,
        [(current(value), current(gradient), node) for value, gradient, node in record.names],
    )


def without_examples(program: Program) -> Program:
    """Let go of the arrays of the run that was traced; only their shapes and types are kept."""
    known = [*program.inputs, *program.flats]
    known += [value for call in each_call(program.calls) for value in (call.out, *reads(call))]
    known += [v for r in program.residences for v in (r.now, r.new, *r.parts, *r.new_parts)]
    known += traced_in([program.result, [value for _, value in program.gradients]])
    for value in known:
        if isinstance(value.example, np.ndarray):
            value.example = np.broadcast_to(np.empty((), value.dtype), value.shape)
        elif isinstance(value.example, (tuple, list)):
            value.example = ()
        value.tracing = None
    return program._replace(tensors=[], names=[])


class _Builder:
    """Gives places in flat arrays to what is updated, and to the gradients it is updated by."""

    def __init__(self, calls: list[Call], record: Record, stand_ins: dict[int, Traced]):
        self.calls, self.by_tensor = calls, stand_ins
        self.root, _ = roots(calls, record.inputs)
        self.calls_by_out = {call.out: call for call in calls}
        self.places: dict[Traced, tuple[Traced, Block]] = {}
        self.residences: list[Residence] = []
        self.flats: dict[Traced, None] = {}

    def stand_ins(self) -> list[Traced]:
        """List the flat arrays that calls read although no call made them."""
        return [*self.flats, *(r.now for r in self.residences)]

    def gather(self, leaves: list[tuple[Traced, list[Traced]]]) -> None:
        """Let arrays that flat calls read be computed into one flat array; copy what is elsewhere."""
        copies = []
        for flat, parts in leaves:
            self.flats[flat] = None
            for block, part in zip(blocks([part.example for part in parts]), parts, strict=True):
                root = self.root.get(part, part)
                if self._placeable(root, part):
                    self.places[root] = flat, Block(block.start, root.shape, root.example.strides, block.size)
                else:
                    copies.append(self._copy(part, part.example, flat, block))
        flats = dict(leaves)
        reading = (i for i, call in enumerate(self.calls) if any(v in flats for v in traced_in(call.args)))
        first = next(reading, len(self.calls))
        self.calls[first:first] = copies

    def _placeable(self, root: Traced, part: Traced) -> bool:
        call = self.calls_by_out.get(root)
        return (
            call is not None
            and root not in self.places
            and takes_out(call)
            and root.example.nbytes == part.example.nbytes
            and root.dtype == part.dtype
            and (root is part or owner(part.example) is root.example)
        )

    def _copy(self, value: Any, like: Any, flat: Traced, block: Block) -> Call:
        """Make the call that copies a value to its place."""
        call = Call(astype, (value, like.dtype), {}, None)
        call.out = Traced(flat.tracing, block._replace(start=0).of(np.empty(block.size, like.dtype)), call)
        self.root[call.out] = call.out
        self.places[call.out] = flat, block
        return call

    def reside(self, tensors: list[Any], before: Traced, after: Traced) -> None:
        """Give Tensors that are updated by one flat call a home together."""
        parts = [self.by_tensor[id(tensor)] for tensor in tensors]
        home = home_of(tensors, [part.example for part in parts])
        whole = Block(0, (after.size,), (after.dtype.itemsize,), after.size)
        new = Traced(after.tracing, after.example)
        self.places[after] = new, whole
        new_parts = [Traced(after.tracing, part.example) for part in parts]
        self.residences.append(Residence(home, before, parts, new, new_parts))

    def settle(self, tensor: Any, value: Any) -> None:
        """Give a Tensor that is updated in its own way a home of its own, with a place for new values."""
        part = self.by_tensor[id(tensor)]
        home = home_of([tensor], [part.example])
        (block,) = home.layout
        flat = np.empty(block.size, part.dtype)
        now, new = Traced(part.tracing, flat), Traced(part.tracing, flat)
        call = self.calls_by_out.get(value) if type(value) is Traced else None
        fits = call is not None and value not in self.places and takes_out(call) and self.root[value] is value
        if fits and _alike(value.example, part.example):
            self.places[value] = new, block
        else:
            self.calls.append(self._copy(value, part.example, new, block))
        self.residences.append(Residence(home, now, [part], new, [Traced(part.tracing, part.example)]))


def _alike(a: Any, b: Any) -> bool:
    same: bool = a.shape == b.shape and a.dtype == b.dtype and a.strides == b.strides
    return same
