"""Pack: parameters that are updated alike lie one after the other in one array, and are updated by one call.

An optimizer does the same to every parameter, so that its calls for all of them are one call on all numbers
at once; `packed` finds such calls. Where the parameters then live, `homes` says.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .simplify import is_elementwise, reads
from .standin import PLAIN, Traced
from .trace import Call


class Group(NamedTuple):
    """Updates made by the same calls: one flat call for each, and what lies where in the flat arrays.

    `tensors[role][i]` is the Tensor of family i that plays a role (parameter, momentum, ...); `before` and
    `after` are the values of all families, by role. `leaves` are flat arrays of what else is read, gradients
    above all, each with its parts.
    """

    tensors: list[list[Any]]
    before: list[Traced]
    after: list[Traced]
    leaves: list[tuple[Traced, list[Traced]]]


def packed(
    calls: list[Call],
    updates: Sequence[tuple[Any, Traced]],
    kept: Iterable[Traced],
    stand_ins: dict[int, Traced],
) -> tuple[list[Call], list[Group]]:
    """Join the updates that are made alike. `kept` are values that are returned, and must stay apart."""
    region = _region(calls, [value for _, value in updates], set(kept))
    families = _families(region)
    updated = {value: tensor for tensor, value in updates}
    alike: dict[Any, list[_Family]] = {}
    tensors = set(stand_ins.values())
    for members in families:
        family = _described(members, updated, stand_ins, tensors)
        if family is not None:
            alike.setdefault(family.signature, []).append(family)
    joined = [same for same in alike.values() if len(same) > 1]
    gone = {call for same in joined for family in same for call in family.calls}
    groups, added = [], []
    for same in joined:
        group, lines = _join(same, stand_ins)
        groups.append(group)
        added += lines
    return [call for call in calls if call not in gone] + added, groups


def _region(calls: list[Call], ends: list[Traced], kept: set[Traced]) -> list[Call]:
    """List the elementwise calls whose results go into nothing but updates."""
    readers: dict[Traced, list[Call]] = {}
    for call in calls:
        for value in reads(call):
            readers.setdefault(value, []).append(call)
    inside: set[Call] = set()
    wanted = set(ends)
    for call in reversed(calls):
        out = call.out
        users = readers.get(out, [])
        if (
            is_elementwise(call)
            and not call.kwargs
            and call.errors is None
            and isinstance(out.example, np.ndarray)
            and out not in kept
            and (users or out in wanted)
            and all(user in inside for user in users)
            and all(_scalar(arg) or np.shape(_example(arg)) == out.shape for arg in call.args)
            and _dense(out.example)
        ):
            inside.add(call)
    return [call for call in calls if call in inside]


def _example(arg: Any) -> Any:
    return arg.example if type(arg) is Traced else arg


def _scalar(arg: Any) -> bool:
    return type(_example(arg)) in PLAIN or isinstance(_example(arg), np.generic)


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


class _Family:
    """The calls that update one parameter and its state, described so that equal signatures can be joined."""

    def __init__(self, calls: list[Call], arrays: list[Traced], roles: list[Any], before: dict[Traced, int]):
        self.calls, self.arrays, self.roles, self.before = calls, arrays, roles, before
        self.signature: Any = None


def _described(
    calls: list[Call], updated: dict[Traced, Any], stand_ins: dict[int, Traced], tensors: set[Traced]
) -> "_Family | None":
    """Describe a family; None if it cannot be joined with others."""
    numbers = {call.out: i for i, call in enumerate(calls)}
    roles = [(i, updated[call.out]) for i, call in enumerate(calls) if call.out in updated]
    arrays: dict[Traced, int] = {}
    before = {stand_ins[id(tensor)]: i for i, (_, tensor) in enumerate(roles) if id(tensor) in stand_ins}
    first = calls[0].out.example
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
                return None
            else:
                spelled.append(("leaf", arrays.setdefault(arg, len(arrays)), arg.dtype))
        signature.append(tuple(spelled))
    same_order = all(call.out.example.strides == first.strides for call in calls)
    if not same_order or any(stand_ins[id(t)].example.strides != first.strides for _, t in roles):
        return None
    family = _Family(calls, list(arrays), roles, before)
    family.signature = (*signature, tuple(i for i, _ in roles), tuple(before.values()))
    return family


def _join(families: list[_Family], stand_ins: dict[int, Traced]) -> tuple[Group, list[Call]]:
    """Write the calls of families with one signature as calls on flat arrays."""
    first = families[0]
    total = sum(family.calls[0].out.size for family in families)

    def flat(like: Any, name: str | None) -> Traced:
        return Traced(first.calls[0].out.tracing, np.empty(total, like.dtype), None, name)

    leaves = [flat(a, "gradients" if i == 0 else None) for i, a in enumerate(first.arrays)]
    before = [flat(stand_ins[id(tensor)], None) for _, tensor in first.roles]
    now: dict[Any, Traced] = dict(zip(first.arrays, leaves, strict=True))
    now |= {stand_in: before[role] for stand_in, role in first.before.items()}
    lines: list[Call] = []
    for call in first.calls:
        args = tuple(now.get(arg, arg) if type(arg) is Traced else arg for arg in call.args)
        line = Call(call.fn, args, {}, call.place, call.node)
        line.out = now[call.out] = flat(call.out, call.out.name)
        line.out.call = line
        lines.append(line)
    group = Group(
        [[family.roles[i][1] for family in families] for i in range(len(first.roles))],
        before,
        [now[first.calls[i].out] for i, _ in first.roles],
        [(whole, [family.arrays[i] for family in families]) for i, whole in enumerate(leaves)],
    )
    return group, lines
