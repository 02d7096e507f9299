"""Loops: calls that work element by element, as one loop that keeps what is in between in registers.

NumPy makes an array of every result, and so goes through memory once for each call. A loop does for one
element what all of the calls do, before it turns to the next. `looped` finds calls that follow each other and
makes one call of a `Loop` of them (`emit_loops` writes it). Only operations are joined whose result IEEE 754
prescribes to the last bit, so that the loop gives what the calls gave.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..rules.shapes import astype
from .facts import facts
from .program import Program, example, readers, reads
from .trace import Call
from .traced import PLAIN, Traced

LONGEST = 24  # calls in a loop: longer ones compile slowly

BOOL, FLOATS = np.dtype(bool), (np.dtype(np.float32), np.dtype(np.float64))


class Loop:
    """Several calls as one. `inputs` are what they read from outside, `outs` the results that others read.

    The `Call` of a loop has the last of these as its `out`; `results` lists all.
    """

    def __init__(self, calls: list[Call], outs: list[Traced]):
        self.calls, self.outs = calls, outs
        made = {call.out for call in calls}
        self.inputs = [v for v in dict.fromkeys(v for call in calls for v in reads(call)) if v not in made]


def results(call: Call) -> list[Traced]:
    """List what a call makes."""
    return call.fn.outs if isinstance(call.fn, Loop) else [call.out]


def each_call(calls: Iterable[Call]) -> Iterator[Call]:
    """Go through calls, those inside loops among them."""
    for call in calls:
        yield call
        if isinstance(call.fn, Loop):
            yield from call.fn.calls


def looped(program: Program) -> None:
    """Join calls that follow each other into loops."""
    kept = set(program.wanted())  # the loop has to write them to memory
    users = readers(program.calls)
    groups = grouped(_postponed(program.calls, users, kept), is_joinable, LONGEST)
    program.calls = [_one(group, users, kept) for group in groups]


def grouped(
    parts: Iterable[list[Call]], fits: Callable[[Call], bool], longest: float = math.inf
) -> Iterator[list[Call]]:
    """Put calls together that follow each other, fit, and have results of one shape."""
    group: list[Call] = []
    for part in parts:
        last = part[-1]
        if can_come_before(last, group):  # and so need not end the group
            yield part
            continue
        fit, room = fits(last), len(group) + len(part) <= longest
        if group and not (fit and room and last.out.shape == group[-1].out.shape):
            yield group
            group = []
        if fit:
            group = group + part
        else:
            yield part
    if group:
        yield group


def _postponed(calls: list[Call], users: dict[Traced, list[Call]], kept: set[Traced]) -> list[list[Call]]:
    """Put each call whose result is read just once right before its reader, if the two can be joined."""
    waiting: dict[Traced, list[Call]] = {}  # results that are not computed yet, and the calls that will do it
    done: list[list[Call]] = []
    for call in calls:
        parts = [waiting.pop(value) for value in reads(call) if value in waiting]
        if sum(map(len, parts)) >= LONGEST:
            done += parts
            parts = []
        steps = [step for part in parts for step in part] + [call]
        reader = users.get(call.out, [])
        alone = len(reader) == 1 and call.out not in kept and len(steps) < LONGEST
        if alone and is_joinable(call) and is_joinable(reader[0]) and reader[0].out.shape == call.out.shape:
            waiting[call.out] = steps
        else:
            done.append(steps)
    return done


def can_come_before(call: Call, steps: list[Call]) -> bool:
    """Tell whether a call that stands after some others may stand before them.

    It may if it computes a number from numbers, or is a view, of something that the others do not make.
    """
    is_view = call.lender is not None
    of_numbers = all(np.isscalar(value.example) for value in [call.out, *reads(call)])
    made = {step.out for step in steps}
    return (is_view or of_numbers) and made.isdisjoint(reads(call))


def _one(calls: list[Call], users: dict[Traced, list[Call]], kept: set[Traced]) -> Call:
    """Return one call for several, which stands where the last of them stood."""
    last = calls[-1]
    if len(calls) == 1:
        return last
    inside = set(calls)
    uses = {call.out: users.get(call.out, ()) for call in calls}
    outs = [out for out in uses if out in kept or not uses[out] or not inside.issuperset(uses[out])]
    loop: Any = Loop(calls, outs)
    call = Call(loop, tuple(loop.inputs), {}, last.place, last.node)
    call.scope, call.out = last.scope, last.out
    return call


def is_joinable(call: Call) -> bool:
    """Tell whether a call can be part of a loop: it is exact, and of arrays of floating-point numbers."""
    out = call.out.example
    if not facts(call.fn).loop or call.kwargs or call.errors or type(out) is not np.ndarray:
        return False
    fits = out.size and out.ndim and out.dtype in (BOOL, *FLOATS)
    return bool(fits) and operand_types(call) is not None


def operand_types(call: Call) -> list[np.dtype[Any]] | None:
    """Return the types that a call converts its arguments to before it computes; None if not for a loop."""
    kinds = [_kind(arg) for arg in (call.args[:1] if call.fn is astype else call.args)]
    if any(kind is None for kind in kinds):  # dtype == None is true of float64
        return None
    if call.fn is astype:
        return kinds if kinds[0] in (BOOL, *FLOATS) else None
    if call.fn is np.where:
        out = call.out.dtype
        return [BOOL, out, out] if out in FLOATS else None
    ufunc: Any = call.fn
    resolved = list(ufunc.resolve_dtypes((*kinds, None)))[:-1]
    return resolved if all(kind in FLOATS for kind in resolved) else None


def _kind(arg: Any) -> Any:
    """Return the type of an argument's elements; Python's own for its numbers; None if not for a loop."""
    value = example(arg)
    if type(value) in PLAIN:
        whole = type(arg) is Traced and type(value) is int  # Numba rounds it once to float32, NumPy twice
        return None if whole else BOOL if type(value) is bool else type(value)
    constant = type(arg) is not Traced and np.ndim(value)  # arrays have to come in as arguments
    dtype = None if constant else getattr(value, "dtype", None)
    return dtype if dtype in (BOOL, *FLOATS) else None
