"""Memory: in which buffer each result is kept, and which may be overwritten.

Buffers are made once and serve every call of the program. A result gets one from the moment it is computed
until its last reader; then the next result of its kind moves in. An elementwise call may even write over the
very array that it reads for the last time. What is handed to the caller is never in a buffer.
"""

from typing import Any

import numpy as np

from .facts import facts, is_elementwise
from .loops import Loop, results
from .program import Plan, Program, kind, reads
from .trace import Call
from .traced import Traced


def takes_out(call: Call) -> bool:
    """Tell whether a call can write its result into a given array."""
    fn, example = call.fn, call.out.example
    if type(example) is not np.ndarray or not example.size:
        return False
    if isinstance(fn, np.ufunc):
        return fn.nout == 1
    if isinstance(fn, Loop):
        return True
    if isinstance(getattr(fn, "__self__", None), np.ufunc):
        return fn.__name__ in ("reduce", "accumulate")
    in_order = fn is not np.dot or example.flags.c_contiguous  # BLAS writes row by row
    return facts(fn).out and bool(in_order) and "dtype" not in call.kwargs


def viewed(program: Program) -> None:
    """Find for each value whose memory it lies in: its own, or that of an earlier value it is a view of.

    Nothing but the flat arrays has a buffer yet.
    """
    root = {value: value for value in program.given()}
    views: set[Traced] = set()
    for call in program.calls:
        out = call.out
        root.update((value, value) for value in results(call))
        if call.lender is not None and not isinstance(out.example, tuple) and not takes_out(call):
            root[out] = root.get(call.lender, call.lender)
            views.add(out)
    program.plan = Plan(root, views, {flat: flat for flat in program.flats})


def buffered(program: Program) -> None:
    """Give a buffer to every result that has no place yet and is not handed out."""
    root, _, buffer = program.plan
    last = _last_reads(program)
    program.places |= _on_the_way(program, last)
    handed_out = {root.get(value, value) for value in program.handed_out()}
    for part, (flat, _) in program.places.items():  # a flat array is read wherever its parts are
        end = len(program.calls) if part in handed_out else last.get(part, 0)
        last[flat] = max(last.get(flat, 0), end)
    free: dict[Any, list[Traced]] = {}  # buffers whose results have all been read; flat ones among them
    ending: dict[int, dict[Traced, None]] = {}
    for value, i in last.items():
        ending.setdefault(i, {})[value] = None

    def release(value: Traced) -> None:
        free.setdefault(kind(value), []).append(buffer[value])

    for i, call in enumerate(program.calls):
        for out in results(call):
            if root[out] is not out or not takes_out(call) or out in handed_out or out in program.places:
                continue
            reused = next((v for v in _overwritable(call, root, buffer) if last[root[v]] == i), None)
            if reused is not None:
                buffer[out] = buffer[root[reused]]
                del ending[i][root[reused]]  # it is not free: the result has moved in
            else:
                waiting = free.get(kind(out))
                buffer[out] = waiting.pop() if waiting else out
            if out not in last:
                release(out)
        for value in ending.get(i, []):  # after the call, which must not write to what it still reads
            if value in buffer:
                release(value)


def _last_reads(program: Program) -> dict[Traced, int]:
    """Find the number of the last call that reads a root, or a view of it."""
    root, last = program.plan.root, dict[Traced, int]()
    for i, call in enumerate(program.calls):
        for value in reads(call):
            last[root.get(value, value)] = i
    return last


def _on_the_way(program: Program, last: dict[Traced, int]) -> dict[Traced, Any]:
    """Find results that can lie where the one that they go into will lie, and need no buffer of their own.

    As the steps of ``new = old - rate * gradient / root``: the place for the new values is free until then.
    """
    root, places = program.plan.root, program.places
    made = {call.out: call for call in program.calls}
    taken = {*places, *(root.get(value, value) for value in program.handed_out())}
    found: dict[Traced, Any] = {}
    for i, call in reversed(list(enumerate(program.calls))):  # from the ends of chains to their beginnings
        place = places.get(call.out) or found.get(call.out)
        if place is None or not is_elementwise(call.fn) or call.kwargs:
            continue
        for value in _alone(call, root):
            free = value in made and takes_out(made[value]) and value not in taken
            if free and root[value] is value and last[value] == i and kind(value) == kind(call.out):
                found[value] = place
                break  # there is room for one
    return found


def _overwritable(call: Call, root: dict[Traced, Traced], buffer: dict[Traced, Traced]) -> list[Traced]:
    """List the arguments of an elementwise call that its result may be written over."""
    if not is_elementwise(call.fn) or call.kwargs:
        return []
    return [v for v in _alone(call, root) if root[v] is v and v in buffer and kind(v) == kind(call.out)]


def _alone(call: Call, root: dict[Traced, Traced]) -> list[Traced]:
    """List the arrays that a call reads, without those that share memory with another one of them.

    Of x and x.T, say: where x is written over, x.T changes before it has been read.
    """
    arrays = [v for v in reads(call) if isinstance(v.example, np.ndarray)]
    return [v for v in arrays if sum(root[v] is root[other] for other in arrays) == 1]
