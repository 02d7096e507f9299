"""Chunks: long arrays a chunk at a time, so that a call finds in the cache what the one before left there.

A call on an array that is larger than the cache reads it from main memory, and so does the next call. Calls
that work element by element may instead all be made on the first chunk of their arrays, then all on the
second, and so on. `chunked` finds calls for which that is the same.
"""

import numpy as np

from .loops import grouped, is_joinable
from .program import Program, reads
from .trace import Call
from .traced import Traced

NBYTES = 1 << 17  # of a chunk: a cache of 1 MB holds those of the seven arrays that Adam goes through
LONG = 4 * NBYTES  # bytes of an array for which it is worth it
FEW = 2  # calls: so few gain nothing


def chunked(program: Program) -> None:
    """Group calls that follow each other: those of a group of several are to be made chunk by chunk."""
    plan, places = program.plan, program.places

    def fits(call: Call) -> bool:
        has_room = call.out in plan.buffer or call.out in places  # its chunks are written there
        return has_room and is_joinable(call) and _is_aligned(call, plan.views)

    for group in grouped(([call] for call in program.calls), fits):
        program.groups += [group] if _is_worth_it(group) else [[call] for call in group]


def size(calls: list[Call]) -> int:
    """Return how many elements a chunk has: whole vectors, since the sign of NaN depends on that."""
    fitting = NBYTES // max(value.dtype.itemsize for call in calls for value in _arrays(call))
    return max(1, fitting // 64 * 64 or fitting)


def _is_worth_it(group: list[Call]) -> bool:
    """Tell whether there are several calls, on long arrays."""
    return len(group) > FEW and any(value.nbytes >= LONG for call in group for value in _arrays(call))


def _arrays(call: Call) -> list[Traced]:
    return [value for value in (call.out, *reads(call)) if np.ndim(value.example)]


def _is_aligned(call: Call, views: set[Traced]) -> bool:
    """Tell whether equal chunks of all arrays hold the same elements. (Of views that is not looked into.)"""
    arrays = _arrays(call)
    alike = all(value.shape == call.out.shape and value.example.flags.c_contiguous for value in arrays)
    return alike and views.isdisjoint(arrays)
