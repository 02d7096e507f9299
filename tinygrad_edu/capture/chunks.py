"""Chunks: long arrays a chunk at a time, so that a call finds in the cache what the one before left there.

A call on an array that is larger than the cache reads it from main memory, and so does the next call. Calls
that work element by element may instead all be made on the first chunk of their arrays, then all on the
second, and so on. `chunked` finds calls for which that is the same.
"""

from collections.abc import Iterator

import numpy as np

from .loops import can_come_before, is_joinable
from .program import Program, reads
from .standin import Traced
from .trace import Call

NBYTES = 1 << 17  # of a chunk: a cache of 1 MB holds those of the seven arrays that Adam goes through
LONG = 4 * NBYTES  # bytes of an array for which it is worth it
FEW = 2  # calls: so few gain nothing


def chunked(program: Program) -> None:
    """Group calls that follow each other: those of a group of several are to be made chunk by chunk."""
    program.groups = list(_grouped(program))


def _grouped(program: Program) -> Iterator[list[Call]]:
    group: list[Call] = []
    for call in program.calls:
        if can_come_before(call, group):  # so that it need not end the group
            yield [call]
            continue
        has_room = call.out in program.plan.buffer or call.out in program.places  # a chunk is written into it
        fits = has_room and is_joinable(call) and _is_aligned(call, program.plan.views)
        if group and not (fits and call.out.shape == group[-1].out.shape):
            yield from _worth_it(group)
            group = []
        if fits:
            group.append(call)
        else:
            yield [call]
    yield from _worth_it(group)


def size(calls: list[Call]) -> int:
    """Return how many elements a chunk has: whole vectors, since the sign of NaN depends on that."""
    fitting = NBYTES // max(value.dtype.itemsize for call in calls for value in _arrays(call))
    return max(1, fitting // 64 * 64 or fitting)


def _worth_it(group: list[Call]) -> list[list[Call]]:
    """Leave calls of a group apart if they are few, or if their arrays are not long."""
    longest = max((int(value.nbytes) for call in group for value in _arrays(call)), default=0)
    return [group] if len(group) > FEW and longest >= LONG else [[call] for call in group]


def _arrays(call: Call) -> list[Traced]:
    return [value for value in (call.out, *reads(call)) if np.ndim(value.example)]


def _is_aligned(call: Call, views: set[Traced]) -> bool:
    """Tell whether equal chunks of all arrays hold the same elements. (Of views that is not looked into.)"""
    arrays = _arrays(call)
    alike = all(value.shape == call.out.shape and value.example.flags.c_contiguous for value in arrays)
    return alike and views.isdisjoint(arrays)
