"""Surroundings: what a function can get at besides its arguments, and what it has changed there.

A function reads variables of the functions around it, global variables, attributes of objects, items of lists
and dicts. Where it may look is read off the names in its code, and in the code of the user's functions that
it reaches in this way: what it names and finds is a `Link`. What it may change is `Held`: compared after the
function ran with what it was before, and put back.
"""

import collections
import collections.abc
import functools
import inspect
import itertools
import operator
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..callsites import is_ours
from ..declared import Versioned, is_setting
from ..keeping import LARGE, fingerprint, may_be_hashed
from ..recording import Recorded
from ..rules import RULES

DEPTH = 8  # how many attributes and items deep Tensors are looked for
FEW = 100  # items of a list or dict that are looked at before every call
SMALL = 1 << 16  # bytes of an array that are
PLAIN = (bool, int, float, str, bytes, type(None))
FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)
GENERATORS = (np.random.Generator, np.random.RandomState)
IGNORED = (types.BuiltinFunctionType, np.ufunc, *PLAIN)
READ = (np.ndarray, type, *FUNCTIONS, *PLAIN)
MAKING = ("__init__", "__new__", "__post_init__")


class Link(NamedTuple):
    """A place, ``holder[key]`` (a cell has no key), and what was found there."""

    holder: Any
    key: Any
    value: Any


class Attributes:
    """The attributes of an object that keeps them in slots, as a mapping."""

    def __init__(self, owner: Any):
        self.owner = owner
        self.names = [
            name
            for kind in type(owner).__mro__
            for name, member in vars(kind).items()
            if isinstance(member, types.MemberDescriptorType) and hasattr(owner, name)
        ]

    def __getitem__(self, name: str) -> Any:
        return getattr(self.owner, name)

    def items(self) -> list[tuple[str, Any]]:
        """List names and values."""
        return [(name, self[name]) for name in self.names]


class Surroundings:
    """Finds what a function, and the user's functions that it reaches, can get at besides its arguments.

    `variables` and `named` (attributes and items) are what code names; `ways` lead to Tensors, by their ids;
    `arrays` are small ones whose elements it may read; `generators` make random numbers; `held` is what it
    may change.
    """

    def __init__(self, function: Any, arguments: Iterable[Any]):
        self.variables: list[Link] = []
        self.named: list[Link] = []
        self.ways: dict[int, list[Link]] = {}
        self.generators: list[Any] = []
        self.held: list[Held] = []
        self.arrays: list[Any] = []
        self._functions: set[int] = set()
        self._names: set[str] = set()  # that the code of these functions has
        self._seen: dict[int, Any] = {}  # kept, so that ids stay theirs
        self._users: list[Any] = []  # objects, classes, modules, lists and dicts of the user's
        self._look_into_arguments(arguments)
        self._follow(function)
        known = -1
        while known < len(self._functions) + len(self._users):  # what is found may name more
            known = len(self._functions) + len(self._users)
            for value in list(self._users):
                for member in self._named_members(value):
                    self._follow(member)
        for value in self._users:
            for link in self._named_items(value):
                self._visit(link.value, [link])
                self.named.append(link)

    # Functions

    def _follow(self, function: Any) -> None:
        """Go through a function, those it wraps or is bound to, and what they name."""
        waiting = [function]
        while waiting:
            fn = waiting.pop()
            if isinstance(fn, functools.partial):
                given = [*fn.args, *fn.keywords.values()]
                waiting += [fn.func, *given]
                for value in given:
                    self._visit(value, [])
            if isinstance(fn, types.MethodType):
                self._visit(fn.__self__, [])
                fn = fn.__func__
            if _is_captures(fn):
                fn = getattr(fn, "function", None)  # a jitted function, which becomes part of this one
            elif isinstance(inspect.getattr_static(type(fn), "__call__", None), types.FunctionType):
                fn = type(fn).__call__
            if not isinstance(fn, types.FunctionType) or id(fn) in self._functions:
                continue
            self._functions.add(id(fn))
            waiting += _rules_of(fn)
            if "opaque" in vars(fn):
                continue  # which is called anew on each call
            if not is_ours(fn.__module__):
                self._names.update(names_in(fn.__code__))
            for default in (*(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values()):
                self._visit(default, [])
            for link in _named_by(fn):
                if not isinstance(link.value, (types.ModuleType, type)):
                    self.variables.append(link)
                self._visit(link.value, [link])
                waiting.append(link.value)

    def _named_members(self, value: Any) -> Iterator[Any]:
        """Go through the user's functions in an object's class, or a module, that some code may call."""
        kinds: list[Any] = [value]
        all_of_them = False
        if not isinstance(value, types.ModuleType):
            kinds = [kind for kind in _mro(value) if _is_users(kind.__module__)]
            all_of_them = any(is_ours(kind.__module__) for kind in _mro(value))  # as by our `Layer`
        for kind in kinds:
            for name, member in list(vars(kind).items()):
                called = name.startswith("__") and (name not in MAKING or isinstance(value, type))
                if all_of_them or name in self._names or called:
                    member = getattr(member, "fget", getattr(member, "__func__", member))
                    if isinstance(member, FUNCTIONS):
                        yield member

    # Objects

    def _look_into_arguments(self, arguments: Iterable[Any]) -> None:
        """Look at arguments; not at arrays and plain values, which are known to be others on each call."""
        for value in arguments:
            if isinstance(value, (list, tuple, dict)):
                self.held += Held.of(value) if type(value) is not tuple else []
                self._look_into_arguments(value.values() if isinstance(value, dict) else value)
            elif not isinstance(value, np.ndarray):
                self._visit(value, [])

    def _visit(self, value: Any, way: list[Link]) -> None:
        """Look at what was found, and at what stands in it, for Tensors and for what may change."""
        if isinstance(value, Recorded):
            self.ways.setdefault(id(value), []).extend(way)
            return
        value = _generator_of(value) or value
        if isinstance(value, IGNORED) or id(value) in self._seen or len(way) > DEPTH:
            return
        self._seen[id(value)] = value
        if isinstance(value, GENERATORS):
            self.generators.append(value)
        elif isinstance(value, np.ndarray):
            if value.flags.writeable and value.nbytes <= SMALL and not value.dtype.hasobject:
                self.arrays.append(value)
            self.held += Held.of(value)
        elif isinstance(value, (types.ModuleType, type)):
            if _is_users(value.__name__ if isinstance(value, types.ModuleType) else value.__module__):
                self._users.append(value)
                self.held += Held.of(value) if isinstance(value, type) else []
        elif isinstance(value, FUNCTIONS):
            if way:  # an attribute or an item
                self._follow(value)
        else:
            self._look_into(value, way)

    def _look_into(self, value: Any, way: list[Link]) -> None:
        """Look at the items or attributes of something."""
        if _is_captures(value):
            return
        items = _items(value)
        self.held += Held.of(value)
        if items is None:
            return
        holder, held = items
        space = isinstance(value, types.SimpleNamespace)
        if space or holder is value or any(_is_users(kind.__module__) for kind in _mro(value)):
            self._users.append(value)
        for key, item in held:
            if holder is not value and not is_setting(value, key):
                continue  # what a layer or an optimizer notes for itself
            if _generator_of(item) or not isinstance(item, (types.ModuleType, type, np.ndarray, *IGNORED)):
                self._visit(item, [*way, Link(holder, key, item)])

    def _named_items(self, value: Any) -> Iterator[Link]:
        """Go through plain values and functions in something of the user's that some code may read."""
        holders: list[Any]
        if isinstance(value, (types.ModuleType, type)):
            holders = [vars(value)]
        elif isinstance(value, (list, tuple, dict)):
            holders = [] if len(value) > FEW else [value]
        else:
            holders = [vars(kind) for kind in _mro(value) if _is_users(kind.__module__)]
            if not isinstance(value, Versioned):  # whose settings are known
                holders.append(_items(value)[0])  # type: ignore[index]
        for holder in holders:
            found = enumerate(holder) if isinstance(holder, (list, tuple)) else list(holder.items())
            for key, item in found:
                if isinstance(item, READ) and (holder is value or key in self._names):
                    yield Link(holder, key, item)


def _named_by(fn: types.FunctionType) -> list[Link]:
    """List the variables around a function, and the global variables of the user's that its code names."""
    found = []
    for cell in fn.__closure__ or ():
        try:
            found.append(Link(cell, None, cell.cell_contents))
        except ValueError:  # not assigned yet
            continue
    if (fn.__module__ or "").partition(".")[0] not in ("tinygrad_edu", "numpy"):
        names = names_in(fn.__code__)
        found += [
            Link(fn.__globals__, name, fn.__globals__[name]) for name in names if name in fn.__globals__
        ]
    return found


def names_in(code: types.CodeType) -> list[str]:
    """List the names in a code object, and in those inside it."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return list(dict.fromkeys([*code.co_names, *(name for c in inner for name in names_in(c))]))


def _rules_of(fn: Any) -> list[Any]:
    """List the gradient rules of a primitive of the user's, by what is decorated or what decorates it."""
    rules = [RULES[f] for f in (fn, getattr(fn, "__wrapped__", None)) if f in RULES]
    return [vjp for rule in rules for vjp in (*rule.vjps, rule.each, rule.definition) if vjp is not None]


def _is_captures(value: Any) -> bool:
    """Tell whether something is one of this room's objects, such as a jitted function."""
    return type(value).__module__.startswith("tinygrad_edu.capture")


def _generator_of(value: Any) -> Any:
    """Return the generator of random numbers that a method is of, such as ``rng.normal``."""
    owner = value.__self__ if isinstance(value, types.BuiltinMethodType) else None
    return owner if isinstance(owner, GENERATORS) else None


def _mro(value: Any) -> tuple[type, ...]:
    kind: Any = value if isinstance(value, type) else type(value)
    return kind.__mro__  # type: ignore[no-any-return]


def _items(value: Any) -> tuple[Any, list[tuple[Any, Any]]] | None:
    """Return what holds the items or attributes of something, and a list of them; None if nothing does."""
    if isinstance(value, (list, tuple)):
        return value, list(enumerate(value))
    if isinstance(value, dict):
        return value, list(value.items())
    if callable(value) and type(value).__module__.startswith(("builtins", "functools")):
        return None  # a function's attributes are its own affair
    if hasattr(value, "__dict__"):
        return vars(value), list(vars(value).items())
    slots = Attributes(value)
    return (slots, slots.items()) if slots.names and _is_users(type(value).__module__) else None


@functools.lru_cache(1000)
def _is_users(module: str | None) -> bool:
    """Tell whether a module, by its name, is none of Python's, of an installed package's, or ours."""
    first = (module or "").partition(".")[0]
    if first in sys.stdlib_module_names or is_ours(module):
        return False
    file = getattr(sys.modules.get(first), "__file__", None) or ""
    return not {"site-packages", "dist-packages"}.intersection(Path(file).parts)


# What may be changed

Reading: TypeAlias = Callable[[Any], dict[Any, Any]]


class Held:
    """Something that a function may change, and what was in it before, by keys."""

    def __init__(self, owner: Any, what: str, read: Reading, write: Callable[..., Any]):
        self.owner, self.what, self.read, self.write = owner, what, read, write
        self.before = read(owner)

    @classmethod
    def of(cls, owner: Any) -> "list[Held]":
        """Return it for a thing, or nothing for what cannot be changed or is Python's own."""
        for kinds, read, write in CHANGEABLE:
            if isinstance(owner, kinds):
                return [cls(owner, f"a {type(owner).__name__}", read, write)]
        module = type(owner).__module__.partition(".")[0]
        if isinstance(owner, type):
            return [cls(owner, f"of the class {owner.__name__}", _of_class, _set)]
        if module in sys.stdlib_module_names and module != "types":
            return []
        if hasattr(owner, "__dict__"):
            return [cls(owner, f"of a {type(owner).__name__}", _of_object, _set)]
        slots = Attributes(owner)
        return [cls(owner, f"of a {type(owner).__name__}", _of_slots, _set)] if slots.names else []

    def changed(self) -> str | None:
        """Say what the function has changed there, if it has, and put it back."""
        now, before = self.read(self.owner), self.before
        keys = [key for key in {**now, **before} if not _same(now.get(key, before), before.get(key, now))]
        if self.write is _set:
            keys = [key for key in keys if is_setting(self.owner, key)]
        if not keys:
            return None
        self.write(self.owner, before, keys)
        return f"{keys[0]!r} {self.what}" if self.write is _set else self.what


def _same(now: Any, before: Any) -> bool:
    return now is before or (type(now) is type(before) and type(now) in (bytes, Seen) and now == before)


class Seen(NamedTuple):
    """How far an iterator has come, as far as it can be told without moving it."""

    left: int
    text: str
    at: Any


def _progress(iterator: Any) -> dict[Any, Any]:
    frame = getattr(iterator, "gi_frame", None)
    text = repr(iterator) if isinstance(iterator, itertools.count) else ""
    return {None: Seen(operator.length_hint(iterator, -1), text, frame and frame.f_lasti)}


def _of_array(array: Any) -> dict[Any, Any]:
    if array.nbytes <= SMALL and not array.dtype.hasobject:
        return {None: array.tobytes()}
    return {None: fingerprint(array)} if array.nbytes <= LARGE and may_be_hashed(array) else {}


def _refill(array: Any, before: Any, keys: Any) -> None:
    if array.nbytes <= SMALL:
        array[...] = np.frombuffer(before[None], array.dtype).reshape(array.shape)


def _of_object(owner: Any) -> dict[Any, Any]:
    return dict(vars(owner))


def _of_slots(owner: Any) -> dict[Any, Any]:
    return dict(Attributes(owner).items())


def _of_class(owner: Any) -> dict[Any, Any]:
    return {name: value for name, value in vars(owner).items() if not name.startswith("__")}


def _set(owner: Any, before: dict[Any, Any], keys: list[Any]) -> None:
    for key in keys:
        if key in before:
            (type if isinstance(owner, type) else object).__setattr__(owner, key, before[key])
        else:
            delattr(owner, key)


def _put_back(items: Any, before: dict[Any, Any], keys: list[Any]) -> None:
    for key in keys:
        items.pop(key, None)
        items.update({key: before[key]} if key in before else {})


def _fill(items: Any, before: dict[Any, Any], keys: Any) -> None:
    items.clear()
    items.update(before.values()) if isinstance(items, set) else items.extend(before.values())


def _overwrite(data: bytearray, before: dict[Any, Any], keys: Any) -> None:
    data[:] = before[None]


CHANGEABLE: list[tuple[Any, Reading, Callable[..., Any]]] = [
    ((list, collections.deque), lambda items: dict(enumerate(items)), _fill),
    (dict, dict, _put_back),
    (set, lambda items: {item: item for item in items}, _fill),
    (bytearray, lambda data: {None: bytes(data)}, _overwrite),
    (np.ndarray, _of_array, _refill),
    (collections.abc.Iterator, _progress, lambda *_: None),
]
