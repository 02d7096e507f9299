"""Memory: in which buffer each result lives, and which may be overwritten.

Buffers are made once and serve every call of the program. A result gets one from the moment it is computed
until its last reader; then the next result of its kind moves in. An elementwise call may even write over the
very array that it reads for the last time. What is handed to the caller is never in a buffer.
"""

import operator
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ..rules.indexing import getitem, put, set_at
from ..rules.shapes import astype
from .loops import Loop, results
from .simplify import is_elementwise, reads
from .standin import Traced
from .trace import Call

# functions whose result may lie in the memory of their argument
VIEWS = {
    *(
        np.reshape,
        np.transpose,
        np.swapaxes,
        np.expand_dims,
        np.squeeze,
        np.ravel,
        np.broadcast_to,
        np.moveaxis,
    ),
    *(np.diagonal, np.real, np.flip, np.rollaxis, np.atleast_1d, np.atleast_2d, np.atleast_3d, np.rot90),
    *(np.flipud, np.fliplr, np.split, np.array_split, np.unstack, np.broadcast_arrays, np.matrix_transpose),
    *(getitem, operator.getitem),
}
PUT, SET_AT = put.__wrapped__, set_at.__wrapped__  # type: ignore[attr-defined]
WRITERS = {astype, PUT, SET_AT, PUT.__wrapped__, SET_AT.__wrapped__}  # which emit writes out


class Plan(NamedTuple):
    """Where everything is: for each value in memory its root, for each root its buffer."""

    root: dict[Traced, Traced]
    views: set[Traced]  # values that are views of their root
    buffer: dict[Traced, Traced]  # for a root in a buffer: the first value that lived in it


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
    if fn is np.dot:
        return bool(example.flags.c_contiguous)
    return fn in WRITERS or (fn in (np.concatenate, np.stack) and "dtype" not in call.kwargs)


def roots(calls: list[Call], inputs: Iterable[Traced]) -> tuple[dict[Traced, Traced], set[Traced]]:
    """Find for each value whose memory it lies in: its own, or that of an earlier value it is a view of.

    Also return the views.
    """
    root = {value: value for value in inputs}
    views: set[Traced] = set()
    for call in calls:
        out = call.out
        root.update((value, value) for value in results(call))
        if isinstance(out.example, tuple) or takes_out(call):
            continue
        if call.lender is not None:
            root[out] = root.get(call.lender, call.lender)
            views.add(out)
    return root, views


def last_reads(calls: list[Call], root: dict[Traced, Traced]) -> dict[Traced, int]:
    """Find the number of the last call that reads a root, or a view of it."""
    last: dict[Traced, int] = {}
    for i, call in enumerate(calls):
        for value in reads(call):
            last[root.get(value, value)] = i
    return last


def plan(
    calls: list[Call],
    inputs: Iterable[Traced],
    escaping: Iterable[Traced],
    placed: dict[Traced, Traced],
    flats: Iterable[Traced] = (),
) -> Plan:
    """Decide where every result is kept.

    `escaping` values are handed out, so that they need arrays of their own. `placed` roots have their place
    in a flat array already; one of `flats` is free, like a buffer, when all in it has been read.
    """
    inputs = set(inputs)
    root, views = roots(calls, inputs)
    last = last_reads(calls, root)
    out_of_here = {root.get(value, value) for value in escaping}
    for part, flat in placed.items():  # a flat array is read wherever its parts are
        end = len(calls) if part in out_of_here else last.get(part, 0)
        last[flat] = max(last.get(flat, 0), end)
    buffer: dict[Traced, Traced] = {flat: flat for flat in flats}
    free: dict[Any, list[Traced]] = {}
    ending: dict[int, dict[Traced, None]] = {}
    for value, i in last.items():
        ending.setdefault(i, {})[value] = None

    def release(value: Traced) -> None:
        free.setdefault(kind(value), []).append(buffer[value])

    for i, call in enumerate(calls):
        for out in results(call):
            if root[out] is not out or not takes_out(call) or out in out_of_here or out in placed:
                continue
            reused = next((v for v in _overwritable(call, root, buffer) if last[root[v]] == i), None)
            if reused is not None:
                buffer[out] = buffer[root[reused]]
                del ending[i][root[reused]]
            else:
                waiting = free.get(kind(out))
                buffer[out] = waiting.pop() if waiting else out
            if out not in last:
                release(out)
        for value in ending.get(i, []):
            if value in buffer:
                release(value)
    return Plan(root, views, buffer)


def on_the_way(
    calls: list[Call],
    places: dict[Traced, tuple[Traced, Any]],
    inputs: Iterable[Traced],
    escaping: Iterable[Traced],
) -> dict[Traced, tuple[Traced, Any]]:
    """Find results that can lie where the one that they go into will lie, and need no buffer of their own.

    As the steps of ``new = old - rate * gradient / root``: the place for the new values is free until then.
    """
    root, _ = roots(calls, inputs)
    last = last_reads(calls, root)
    made = {call.out: call for call in calls}
    bound = {root.get(value, value) for value in escaping}
    found: dict[Traced, tuple[Traced, Any]] = {}
    for i in reversed(range(len(calls))):
        call = calls[i]
        place = places.get(call.out) or found.get(call.out)
        if place is None or not is_elementwise(call) or call.kwargs:
            continue
        for value in _alone(call, root):
            free = value in made and takes_out(made[value]) and value not in places and value not in bound
            if free and root[value] is value and last[value] == i and kind(value) == kind(call.out):
                found[value] = place
                break
    return found


def kind(value: Traced) -> Any:
    """Return what two values must have in common to live in one buffer."""
    return value.shape, value.dtype, value.example.strides


def _overwritable(call: Call, root: dict[Traced, Traced], buffer: dict[Traced, Traced]) -> list[Traced]:
    """List the arguments of an elementwise call that its result may be written over."""
    if not is_elementwise(call) or call.kwargs:
        return []
    return [v for v in _alone(call, root) if root[v] is v and v in buffer and kind(v) == kind(call.out)]


def _alone(call: Call, root: dict[Traced, Traced]) -> list[Traced]:
    """List the arrays that a call reads, without those that share memory with another one of them."""
    arrays = [v for v in reads(call) if isinstance(v.example, np.ndarray)]
    return [v for v in arrays if sum(root[v] is root[other] for other in arrays) == 1]
