"""Pack: parameters that are updated alike lie one after the other in one array, and are updated by one call.

An optimizer does the same to every parameter, so that its calls for all of them are one call on all numbers
at once; `packed` finds such calls. Where the parameters are then kept, `homes` says.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from .facts import is_elementwise
from .program import Joined, Program, example, readers, reads
from .trace import Call
from .traced import PLAIN, Traced


def packed(program: Program) -> None:
    """Join the updates that are made alike."""
    traced_arrays = program.traced_arrays()
    tensors = set(traced_arrays.values())
    times = Counter(id(value) for _, value in program.updates)  # two Tensors of one value stay apart
    updated = {v: tensor for tensor, v in program.updates if type(v) is Traced and times[id(v)] == 1}
    alike: dict[Any, list[_Family]] = {}
    for members in _families(_region(program, set(updated))):
        family = _described(members, updated, traced_arrays, tensors)
        if family is not None:
            alike.setdefault(family.signature, []).append(family)
    families = [same for same in alike.values() if len(same) > 1]
    gone = {call for same in families for family in same for call in family.calls}
    program.calls = [call for call in program.calls if call not in gone]
    for same in families:  # at the end, when every gradient is there
        joined, lines = _join(same, traced_arrays)
        program.joined.append(joined)
        program.calls += lines
    at_home = {id(tensor) for joined in program.joined for role in joined.tensors for tensor in role}
    program.updates = [(tensor, value) for tensor, value in program.updates if id(tensor) not in at_home]


def _region(program: Program, ends: set[Traced]) -> list[Call]:
    """List the elementwise calls whose results go into nothing but updates.

    What somebody else reads must be there before the end, and in an array of its own.
    """
    calls, handed_out = program.calls, set(program.handed_out())
    found = readers(calls)
    inside: set[Call] = set()
    for call in reversed(calls):  # readers come before what they read
        out = call.out
        users = found.get(out, [])
        if (
            is_elementwise(call.fn)
            and not call.kwargs
            and call.errors is None
            and isinstance(out.example, np.ndarray)
            and out not in handed_out
            and (users or out in ends)
            and all(user in inside for user in users)
            and all(_scalar(arg) or np.shape(example(arg)) == out.shape for arg in call.args)
            and _dense(out.example)
        ):
            inside.add(call)
    return [call for call in calls if call in inside]


def _scalar(arg: Any) -> bool:
    return type(example(arg)) in PLAIN or isinstance(example(arg), np.generic)


def _dense(array: Any) -> bool:
    """Tell whether an array fills one block of memory, in any order of its axes."""
    steps = sorted((step, n) for step, n in zip(array.strides, array.shape, strict=True) if n != 1)
    ends = [array.itemsize, *(step * n for step, n in steps)]
    return array.size > 0 and all(step == end for (step, _), end in zip(steps, ends[:-1], strict=True))


def _families(region: list[Call]) -> list[list[Call]]:
    """Part calls into families that share arrays: one parameter, with what an optimizer remembers of it."""
    parent: dict[Traced, Traced] = {}

    def root(value: Traced) -> Traced:
        while (above := parent.setdefault(value, value)) is not value:
            parent[value] = value = parent[above]
        return value

    for call in region:
        for value in reads(call):
            if not _scalar(value):
                parent[root(value)] = root(call.out)
    members: dict[Traced, list[Call]] = {}
    for call in region:
        members.setdefault(root(call.out), []).append(call)
    return list(members.values())


class _Family(NamedTuple):
    """The calls that update one parameter and its state; those of equal signatures can be joined."""

    signature: Any
    calls: list[Call]
    arrays: list[Traced]
    roles: list[tuple[int, Any]]  # the number of a call, and the Tensor that it updates
    before: dict[Traced, int]


def _described(
    calls: list[Call], updated: dict[Traced, Any], traced_arrays: dict[int, Traced], tensors: set[Traced]
) -> _Family | None:
    """Describe a family by what is the same in others; None if it cannot be joined with any."""
    numbers = {call.out: i for i, call in enumerate(calls)}
    roles = [(i, updated[call.out]) for i, call in enumerate(calls) if call.out in updated]
    arrays: dict[Traced, int] = {}
    before = {traced_arrays[id(tensor)]: i for i, (_, tensor) in enumerate(roles)}
    first = calls[0].out.example
    if any(value.example.strides != first.strides for value in (*numbers, *before)):
        return None  # elements would not meet their own
    signature: list[Any] = [first.dtype]
    for call in calls:
        spelled: list[Any] = [call.fn, call.out.dtype]
        for arg in call.args:
            if type(arg) is not Traced:
                if not _scalar(arg):
                    return None
                spelled.append(("plain", type(arg), repr(arg)))
            elif _scalar(arg):
                spelled.append(("scalar", id(arg)))
            elif arg in numbers:
                spelled.append(("call", numbers[arg]))
            elif arg in before:
                spelled.append(("before", before[arg]))
            elif arg in tensors or arg.example.strides != first.strides:
                return None  # another family may change that Tensor
            else:
                spelled.append(("leaf", arrays.setdefault(arg, len(arrays)), arg.dtype))
        signature.append(tuple(spelled))
    signature += [tuple(i for i, _ in roles), tuple(before.values())]
    return _Family(tuple(signature), calls, list(arrays), roles, before)


def _join(families: list[_Family], traced_arrays: dict[int, Traced]) -> tuple[Joined, list[Call]]:
    """Write the calls of families with one signature as calls on flat arrays."""
    first = families[0]
    total = sum(family.calls[0].out.size for family in families)

    def flat(like: Any, name: str | None) -> Traced:
        return Traced(first.calls[0].out.tracing, np.empty(total, like.dtype), None, name)

    leaves = [flat(a, "gradients" if i == 0 else None) for i, a in enumerate(first.arrays)]
    before = [flat(traced_arrays[id(tensor)], None) for _, tensor in first.roles]
    now: dict[Any, Traced] = dict(zip(first.arrays, leaves, strict=True))
    now |= {traced: before[role] for traced, role in first.before.items()}
    lines: list[Call] = []
    for call in first.calls:
        args = tuple(now.get(arg, arg) if type(arg) is Traced else arg for arg in call.args)
        line = Call(call.fn, args, {}, call.place, call.node)
        line.out = now[call.out] = flat(call.out, call.out.name)
        line.out.call = line
        lines.append(line)
    joined = Joined(
        [[family.roles[i][1] for family in families] for i in range(len(first.roles))],
        before,
        [now[first.calls[i].out] for i, _ in first.roles],
        [(whole, [family.arrays[i] for family in families]) for i, whole in enumerate(leaves)],
    )
    return joined, lines
