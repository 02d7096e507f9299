"""Housing: where the new values of Tensors are written, and the gradients that they are made of.

Every Tensor that is updated gets a home, where it lies beside others or alone. What its new values come from
is computed right into its place there, or copied to it.
"""

from typing import Any

import numpy as np

from ..rules.shapes import astype
from .homes import Block, blocks, home_of
from .memory import takes_out
from .program import Program, Residence, kind, reads
from .trace import Call
from .traced import Traced, owner


def housed(program: Program) -> None:
    """Give places to what is updated, and to the gradients that it is updated by."""
    builder = _Builder(program)
    for group in program.joined:
        builder.gather(group.leaves)
        for tensors, before, after in zip(group.tensors, group.before, group.after, strict=True):
            builder.reside(tensors, before, after)
    for tensor, value in program.updates:
        builder.settle(tensor, value)
    program.updates = []


class _Builder:
    def __init__(self, program: Program):
        self.program, self.by_tensor = program, program.traced_arrays()
        self.calls_by_out = {call.out: call for call in program.calls}

    def gather(self, leaves: list[tuple[Traced, list[Traced]]]) -> None:
        """Let arrays that flat calls read be computed into one flat array; copy what is elsewhere."""
        copies = []
        for flat, parts in leaves:
            self.program.flats[flat] = None
            for block, part in zip(blocks([part.example for part in parts]), parts, strict=True):
                root = self.program.plan.root.get(part, part)
                fits = self._is_free(root) and root.example.nbytes == part.example.nbytes
                fits = fits and root.dtype == part.dtype
                if fits and (root is part or owner(part.example) is root.example):
                    place = Block(block.start, root.shape, root.example.strides, block.size)
                    self.program.places[root] = flat, place  # where the part is the same view of it as before
                else:
                    copies.append(self._copy(part, part.example, flat, block))
        calls, flats = self.program.calls, dict(leaves)
        reading = (i for i, call in enumerate(calls) if any(value in flats for value in reads(call)))
        first = next(reading, len(calls))
        calls[first:first] = copies

    def _is_free(self, value: Any) -> bool:
        """Tell whether a call can compute a value into a place."""
        call = self.calls_by_out.get(value) if type(value) is Traced else None
        return call is not None and value not in self.program.places and takes_out(call)

    def _copy(self, value: Any, like: Any, flat: Traced, block: Block) -> Call:
        """Make the call that copies a value to its place."""
        call = Call(astype, (value, like.dtype), {}, None)
        call.out = Traced(flat.tracing, block._replace(start=0).of(np.empty(block.size, like.dtype)), call)
        self.program.places[call.out] = flat, block
        return call

    def reside(self, tensors: list[Any], before: Traced, after: Traced) -> None:
        """Give Tensors that are updated by one flat call a home together."""
        parts = [self.by_tensor[id(tensor)] for tensor in tensors]
        home = home_of(tensors, [part.example for part in parts])
        whole = Block(0, (after.size,), (after.dtype.itemsize,), after.size)
        new = Traced(after.tracing, after.example)
        self.program.places[after] = new, whole
        new_parts = [Traced(after.tracing, part.example) for part in parts]
        self.program.residences.append(Residence(home, [before, *parts], [new, *new_parts]))

    def settle(self, tensor: Any, value: Any) -> None:
        """Give a Tensor that is updated in its own way a home of its own, with a place for new values."""
        part = self.by_tensor[id(tensor)]
        home = home_of([tensor], [part.example])
        (block,) = home.layout
        flat = np.empty(block.size, part.dtype)
        now, new = Traced(part.tracing, flat), Traced(part.tracing, flat)
        if self._is_free(value) and kind(value) == kind(part):
            self.program.places[value] = new, block
        else:  # another Tensor's, a view, a constant, or in another order of memory
            self.program.calls.append(self._copy(value, part.example, new, block))
        new_part = Traced(part.tracing, part.example)
        self.program.residences.append(Residence(home, [now, part], [new, new_part]))
