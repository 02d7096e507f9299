"""Passes: what is done to a program, in this order. Each but the `NEEDED` can be left out.

The results are the same to the last bit, whichever are left out; only what they cost is not.
"""

from collections.abc import Callable, Collection

import numpy as np

from .chunks import chunked
from .flatten import flattened
from .housing import housed
from .loops import each_call, looped
from .memory import buffered, viewed
from .pack import packed
from .program import Program, reads
from .simplify import by_place, handed_out, with_algebra, without_dead, without_repeats
from .trace import Record

PASSES: list[tuple[str, Callable[[Program], None]]] = [  # with the names that a report has for them
    ("algebra", with_algebra),
    ("common subexpressions", without_repeats),
    ("copies handed out", handed_out),
    ("dead code", without_dead),
    ("updates joined", packed),
    ("axes of length one", flattened),
    ("views", viewed),
    ("homes", housed),
    ("dead code", without_dead),  # views of gradients that have a place, axes that nobody needs back
    ("loops joined", looped),
    ("views", viewed),  # of what is left
    ("buffers", buffered),
    ("chunks", chunked),
]
NEEDED = ("copies handed out", "homes", "views")
OPTIONAL = [name for name in dict(PASSES) if name not in NEEDED]


def build(record: Record, compiled: bool = False, without: Collection[str] = ()) -> Program:
    """Run the passes, with the one for loops that are to be `compiled`, and without some others."""
    for name in without:
        if name not in OPTIONAL:
            raise ValueError(f"what can be left out is {', '.join(OPTIONAL)}; and not {name!r}")
    program = Program(**record._asdict())
    program.counts.append(("traced", len(program.calls)))
    for call in program.calls:
        by_place(call)
    for name, run in PASSES:
        if name not in without and (compiled or run is not looped):
            run(program)
            program.counts.append((name, len(program.calls)))
    program.groups = program.groups or [[call] for call in program.calls]
    return program


def without_examples(program: Program) -> Program:
    """Let go of the arrays of the run that was traced; only their shapes and types are kept."""
    known = [*program.given(), *program.handed_out()]
    known += [value for call in each_call(program.calls) for value in (call.out, *reads(call))]
    known += [value for r in program.residences for value in (*r.now, *r.new)]
    for value in known:
        if isinstance(value.example, np.ndarray):
            value.example = np.broadcast_to(np.empty((), value.dtype), value.shape)
        elif isinstance(value.example, (tuple, list)):
            value.example = ()
        value.tracing = None
    program.tensors, program.names, program.joined = [], [], []
    program.now, program.copies = {}, set()
    return program
