"""Held: things that a function may change besides Tensors, compared with what they were, and put back.

A program would make such a change once, when it is made, and never again; so it is refused.
"""

import collections
import functools
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


class Held:
    """Something that a function may change, and what was in it before, by keys."""

    def __init__(
        self, owner: Any, what: str, read: Callable[[], Content], write: Callable[[Content, list[Any]], Any]
    ):
        self.owner, self.what, self.read, self.write = owner, what, read, write
        self.before = read()

    @classmethod
    def of(cls, owner: Any, names: set[str] | None) -> "list[Held]":
        """Return it for a thing, or nothing for what cannot be changed.

        Of what has attributes, those with `names` count, which may grow until they are compared.
        """
        kind = type(owner)
        for kinds, read, write in CONTENTS:
            if issubclass(kind, kinds) and names is None:
                return [cls(owner, _a(kind), functools.partial(read, owner), functools.partial(write, owner))]
        if names is None or issubclass(kind, (tuple, frozenset)):
            return []
        of = f"the class {owner.__name__}" if isinstance(owner, type) else _a(kind)
        held = cls(owner, of, functools.partial(_attributes_of, owner), functools.partial(_set, owner))
        held.names = names
        return [held]

    names: set[str] | None = None

    @classmethod
    def of_iterator(cls, owner: Any) -> "list[Held]":
        """Return it for one of Python's own iterators, which cannot be put back."""
        if isinstance(owner, Iterator) and type(owner).__module__ in ("builtins", "itertools"):
            return [cls(owner, _a(type(owner)), functools.partial(_progress, owner), lambda *_: None)]
        return []

    def changed(self) -> str | None:
        """Say what the function has changed there, if it has, and put it back."""
        now, before = self.read(), self.before
        keys = [
            key for key in {**now, **before} if not _same(now.get(key, MISSING), before.get(key, MISSING))
        ]
        if self.names is not None:
            keys = [key for key in keys if key in self.names and is_setting(self.owner, key)]
        if not keys:
            return None
        self.write(before, keys)
        if self.names is not None:
            return f"{keys[0]!r} of {self.what}"
        return f"{keys[0]!r} of {self.what}" if type(self.owner) is dict else self.what


def _a(kind: type) -> str:
    name = "array" if kind is np.ndarray else kind.__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _same(now: Any, before: Any) -> bool:
    return now is before or (type(now) is type(before) is bytes and now == before)


# What is in a thing, by keys, and how it is put back


def _attributes_of(owner: Any) -> Content:
    if isinstance(owner, (type, types.ModuleType)):
        return dict(vars(owner))
    try:
        return dict(object.__getattribute__(owner, "__dict__"))
    except AttributeError:
        slots = [
            n
            for kind in type(owner).__mro__
            for n, m in vars(kind).items()
            if type(m) is types.MemberDescriptorType
        ]
        return {name: value for name in slots if (value := getattr(owner, name, MISSING)) is not MISSING}


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


CONTENTS: list[tuple[Any, Callable[[Any], Content], Callable[..., Any]]] = [
    ((list, collections.deque), lambda items: dict(enumerate(items)), _fill),
    (dict, dict, _fill),
    (set, lambda items: {item: item for item in items}, _fill),
    (bytearray, lambda data: {None: bytes(data)}, _overwrite),
    (np.ndarray, _bytes_of, _refill),
]
