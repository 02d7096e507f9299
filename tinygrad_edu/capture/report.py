"""Report: what a program costs, and what each pass has removed from it, as a table."""

import math
from dataclasses import dataclass

import numpy as np

from .facts import facts
from .loops import Loop
from .program import Emitted, Program, example
from .trace import Call
from .traced import traced_in


@dataclass(frozen=True, repr=False)
class Report:
    """What one run of a program takes.

    Attributes:
        calls: NumPy calls.
        passes: pairs of a pass and how many calls it left.
        buffers: arrays that are made once.
        nbytes: the memory that they take, in bytes.
        flops: operations on floating-point numbers; a multiplication and an addition count as two.
    """

    calls: int
    passes: list[tuple[str, int]]
    buffers: int
    nbytes: int
    flops: int

    def __str__(self) -> str:
        rows, before = [f"{'pass':26}{'calls left':>13}{'removed':>10}"], 0
        for name, left in self.passes:
            if left != before:  # passes that had nothing to do are left out
                rows.append(f"{name:26}{left:13,}{'' if before == 0 else f'{before - left:,}':>10}")
            before = left
        rows.append(f"{'buffers':26}{self.buffers:13,}{self.nbytes:>14,} bytes")
        rows.append(f"{'floating-point operations':26}{self.flops:13,}")
        return "\n".join(rows)

    def __repr__(self) -> str:
        return str(self)


def report(program: Program, emitted: Emitted) -> Report:
    """Count what a program does."""
    working = [call for call in program.calls if not facts(call.fn).view]
    return Report(
        len(working), program.counts, emitted.buffers, emitted.nbytes, sum(map(operations, program.calls))
    )


def operations(call: Call) -> int:
    """Estimate the floating-point operations of a call: those of a product exactly, else one an element."""
    if isinstance(call.fn, Loop):
        return sum(map(operations, call.fn.calls))
    out, inputs = call.out.example, traced_in(call.args)
    if isinstance(out, tuple) or facts(call.fn).view or getattr(out, "dtype", np.dtype(int)).kind != "f":
        return 0
    if call.fn in (np.matmul, np.dot):
        first = np.shape(example(call.args[0]))
        return 2 * int(np.size(out)) * int(first[-1] if first else 1)
    if isinstance(getattr(call.fn, "__self__", None), np.ufunc) or call.fn is np.vdot:
        return max((int(np.size(v.example)) for v in inputs), default=0)
    return math.prod(np.shape(out))
