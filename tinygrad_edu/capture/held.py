"""Held: things that a function may change besides Tensors, compared with what they were, and put back.

A program would make such a change once, when it is made, and never again; so it is refused.
"""

import collections
import gc
import itertools
import operator
import types
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from ..declared import is_setting
from ..keeping import LARGE, fingerprint, may_be_hashed

COPIED = 1 << 20  # bytes of an array that are kept, to be put back
MISSING = object()
Content: TypeAlias = dict[Any, Any]


class Attributes:
    """The attributes of an object that keeps them in slots, as a mapping."""

    def __init__(self, owner: Any):
        self.owner = owner

    def items(self) -> list[tuple[str, Any]]:
        """List those that have a value."""
        members = [item for kind in type(self.owner).__mro__ for item in vars(kind).items()]
        slots = [name for name, member in members if type(member) is types.MemberDescriptorType]
        return [(name, self[name]) for name in slots if name in self]

    def __contains__(self, name: str) -> bool:
        try:
            self[name]
        except AttributeError:
            return False
        return True

    def __getitem__(self, name: str) -> Any:
        return object.__getattribute__(self.owner, name)


def attributes(owner: Any) -> Any:
    """Return the mapping that holds an object's own attributes, however odd the object is."""
    if isinstance(owner, (type, types.ModuleType)):
        return vars(owner)
    try:
        held = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        held = None
    return held if isinstance(held, dict) else Attributes(owner)


class Held:
    """Something that a function may change, and what was in it before, by keys."""

    def __init__(
        self,
        owner: Any,
        read: Callable[[Any], Content],
        write: Callable[[Any, Content, list[Any]], Any],
        names: set[str] | None = None,
    ):
        self.owner, self.read, self.write, self.names = owner, read, write, names
        self.before = read(owner)

    @classmethod
    def of(cls, owner: Any, names: set[str] | None) -> "list[Held]":
        """Return it for a thing, or nothing for what cannot be changed.

        Of what has attributes, those with `names` count, which may grow until they are compared.
        """
        if names is not None:
            return [] if isinstance(owner, (tuple, frozenset)) else [cls(owner, _attributes_of, _set, names)]
        for kinds, read, write in CONTENTS:
            if issubclass(type(owner), kinds):
                return [cls(owner, read, write)]
        return []

    @classmethod
    def of_iterator(cls, owner: Any) -> "list[Held]":
        """Return it for one of Python's own iterators, which cannot be put back."""
        own = isinstance(owner, Iterator) and type(owner).__module__ in ("builtins", "itertools")
        return [cls(owner, _progress, lambda *_: None)] if own else []

    def changed(self) -> str | None:
        """Say what the function has changed there, if it has, and put it back."""
        now, before = self.read(self.owner), self.before
        keys = [
            key for key in {**now, **before} if not _same(now.get(key, MISSING), before.get(key, MISSING))
        ]
        if self.names is not None:
            keys = [key for key in keys if key in self.names and is_setting(self.owner, key)]
        if not keys:
            return None
        self.write(self.owner, before, keys)
        keyed = self.names is not None or type(self.owner) is dict
        return f"{keys[0]!r} of {_called(self.owner)}" if keyed else _called(self.owner)


def _called(owner: Any) -> str:
    if isinstance(owner, type):
        return f"the class {owner.__name__}"
    name = "array" if type(owner) is np.ndarray else type(owner).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _same(now: Any, before: Any) -> bool:
    return now is before or (type(now) is type(before) is bytes and now == before)


# What is in a thing, by keys, and how it is put back


def _attributes_of(owner: Any) -> Content:
    return dict(attributes(owner).items())


def _set(owner: Any, before: Content, keys: list[Any]) -> None:
    plain: Any = type if isinstance(owner, type) else object
    for key in keys:
        if key in before:
            plain.__setattr__(owner, key, before[key])
        else:
            plain.__delattr__(owner, key)


def _fill(items: Any, before: Content, keys: Any) -> None:
    items.clear()
    if isinstance(items, dict):
        items.update(before)
    elif isinstance(items, set):
        items.update(before.values())
    else:
        items.extend(before.values())


def _bytes_of(array: Any) -> Content:
    if array.dtype.hasobject or array.nbytes > LARGE:
        return {}
    if array.nbytes > COPIED:
        return {None: fingerprint(array)} if may_be_hashed(array) else {}
    return {None: array.tobytes()}


def _refill(array: Any, before: Content, keys: Any) -> None:
    if array.nbytes <= COPIED:
        array[...] = np.frombuffer(before[None], array.dtype).reshape(array.shape)


def _overwrite(data: bytearray, before: Content, keys: Any) -> None:
    data[:] = before[None]


def _progress(iterator: Any) -> Content:
    """Tell how far an iterator has come, as far as that can be told without moving it."""
    frame = getattr(iterator, "gi_frame", None)
    variables = {} if frame is None else {"line": str(frame.f_lasti).encode(), **frame.f_locals}
    return {None: repr(_steps_left(iterator)).encode(), **variables}


def _steps_left(iterator: Any) -> Any:
    """Say what is left of an iterator, and of those that it goes through itself."""
    if isinstance(iterator, (list, tuple)):
        return len(iterator), [_steps_left(part) for part in iterator if isinstance(part, Iterator)]
    text = repr(iterator) if isinstance(iterator, itertools.count) else ""
    inner = [part for part in gc.get_referents(iterator) if isinstance(part, (Iterator, list, tuple))]
    return operator.length_hint(iterator, -1), text, list(map(_steps_left, inner))


# of which things, what is in them, and what puts it back
CONTENTS: list[tuple[Any, Callable[[Any], Content], Callable[..., Any]]] = [
    ((list, collections.deque), lambda items: dict(enumerate(items)), _fill),
    (dict, dict, _fill),
    (set, lambda items: {item: item for item in items}, _fill),
    (bytearray, lambda data: {None: bytes(data)}, _overwrite),
    (np.ndarray, _bytes_of, _refill),
]
