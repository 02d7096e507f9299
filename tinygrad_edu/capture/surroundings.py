"""Surroundings: what a function can get at besides its arguments.

A function reads variables of the functions around it, global variables, attributes of objects, items of lists
and dicts. Where it looks is read off the names in its code, and in the code of the user's functions that it
reaches in this way. What it names and finds is a `Link`; what is not there, but would hide what is found, is
one too. What it may change there is `Held`.
"""

import collections
import contextlib
import dis
import functools
import random
import sys
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..callsites import is_ours, is_users
from ..declared import Versioned, is_setting
from ..keeping import may_change
from ..recording import Recorded
from ..rules import RULES
from .held import Held, attributes

DEPTH = 8  # how many attributes and items deep Tensors are looked for
FEW = 100  # items of a list or dict that are looked at before every call
MANY = 2000  # links, and array elements, that are looked at in all
SMALL = 1 << 16  # bytes of an array that are compared
PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)
FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)
GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
SPACES = ("types.SimpleNamespace", "argparse.Namespace")  # objects of Python's own that hold what is theirs
MAKING = ("__init__", "__new__", "__post_init__")
CELL, ABSENT = object(), object()  # stand for the only place in a cell, and for what is not there


class Link(NamedTuple):
    """A place, ``holder[key]``, and what was found there."""

    holder: Any
    key: Any
    value: Any


class Surroundings:
    """Finds what a function, and the user's functions that it reaches, can get at besides its arguments.

    `variables` are around functions, `links` all that code names; `ways` lead to Tensors, by their ids;
    `sizes` are lists and the like that may grow; `arrays` are small ones whose elements may be read;
    `generators` make random numbers; `held` is what the function may change.
    """

    def __init__(self, function: Any, arguments: Iterable[Any]):
        self.variables: list[Link] = []
        self.links: list[Link] = []
        self.ways: dict[int, list[Link]] = {}
        self.sizes: list[Any] = []
        self.arrays: list[Any] = []
        self.generators: list[Any] = []
        self.held: list[Held] = []
        self._names: set[str] = set()  # that the code of these functions has
        self._seen: dict[int, Any] = {}  # what was looked at, kept so that ids stay theirs
        self._owners: dict[int, tuple[Any, set[str]]] = {}  # what has attributes, and those looked at
        self._below: dict[int, Any] = {}
        arguments = list(arguments)
        for argument in arguments:
            with contextlib.suppress(Exception):
                self._find_tensors(argument, [])
            self._argument(argument)
        self._meet(function)
        known = -1
        while known < (known := len(self._names) + len(self._owners)):  # what is found may name more
            for owner, looked_at in list(self._owners.values()):
                for name in self._named_of(owner) - looked_at:
                    looked_at.add(name)
                    with contextlib.suppress(Exception):  # of odd objects
                        self._attribute(owner, name)

    # Functions

    def _function(self, fn: types.FunctionType) -> None:
        """Go through what a function names, and its gradient rules."""
        for vjp in _rules_of(fn):
            self._reach(vjp)
        if "opaque" in vars(fn):
            return  # it is called anew on each call
        if not is_ours(fn.__module__):
            self._names.update(names_in(fn.__code__))
        self._owners[id(fn)] = fn, set()
        self.held += Held.of(fn, self._names)
        self._meet(*(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values())
        for link in _named_by(fn):
            if not isinstance(link.value, types.ModuleType) or is_users(link.value.__name__):
                self.variables.append(link)
                self._found(link)

    def _found(self, link: Link) -> None:
        """Note what was found at a place, and look into it."""
        if len(self.links) < MANY:
            self.links.append(link)
        self._meet(link.value, way=[link])

    def _meet(self, *values: Any, way: Sequence[Link] = ()) -> None:
        """Look into things, for Tensors by any names, for the rest by those in the code."""
        for value in values:
            with contextlib.suppress(Exception):  # of odd objects
                self._find_tensors(value, list(way))
            self._reach(value)

    # Things

    def _argument(self, value: Any) -> None:
        """Look at an argument; not at arrays and plain values, which are known to be others on each call."""
        if isinstance(value, (list, tuple, dict)):
            self.held += Held.of(value, None)
            for part in value.values() if isinstance(value, dict) else value:
                self._argument(part)
        elif not isinstance(value, np.ndarray):
            self._reach(value)

    def _reach(self, value: Any) -> None:
        """Look at what some code can get at."""
        kind = type(value)
        if issubclass(kind, (*PLAIN, Recorded)) or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        with contextlib.suppress(Exception):  # of odd objects
            self._look_at(value, kind)

    def _look_at(self, value: Any, kind: type) -> None:
        if _generator_of(value) is not None:
            return  # `_find_tensors` has found it
        if is_captures(value):
            self._reach(getattr(value, "function", None))  # a jitted one becomes part of this one
        elif kind is types.FunctionType:
            self._function(value)
        elif kind is types.MethodType:
            self._meet(value.__self__, value.__func__)
        elif kind is functools.partial:
            self._meet(value.func, *value.args, *value.keywords.values())
        elif issubclass(kind, np.ndarray):
            self.held += Held.of(value, None)
            if value.nbytes <= SMALL and may_change(value) and sum(a.size for a in self.arrays) < MANY * 8:
                self.arrays.append(value)
        else:
            self._look_into(value, kind)

    def _look_into(self, value: Any, kind: type) -> None:
        """Look at a container's items, and remember what has attributes."""
        users = is_users(value.__name__ if isinstance(value, types.ModuleType) else kind.__module__)
        if issubclass(kind, type):
            users = any(is_users(base.__module__) for base in value.__mro__)
        if users or issubclass(kind, Versioned) or f"{kind.__module__}.{kind.__name__}" in SPACES:
            self._owners[id(value)] = value, set()
            self.held += Held.of(value, self._names)
        for base in kind.__mro__:
            call = vars(base).get("__call__")
            if type(call) is types.FunctionType and is_users(base.__module__):
                self._reach(call)
        if not issubclass(kind, (list, tuple, dict, set, frozenset, collections.deque, bytearray)):
            self.held += Held.of_iterator(value)
            return
        self.held += Held.of(value, None)
        if not issubclass(kind, tuple):
            self.sizes.append(value)
        if len(value) <= FEW and not issubclass(kind, bytearray):
            for key, item in _items(value):
                if issubclass(kind, (list, dict)):
                    self._found(Link(value, key, item))
                else:
                    self._reach(item)

    # Attributes

    def _named_of(self, owner: Any) -> set[str]:
        """Return the names of attributes that some code may read."""
        plain = isinstance(owner, (types.ModuleType, types.FunctionType))
        members = [
            (name, member)
            for kind in (() if plain else _mro(owner))
            if is_users(kind.__module__)
            for name, member in vars(kind).items()
        ]
        if isinstance(owner, Versioned):  # whose settings the base class reads, and whose methods it calls
            return {name for name in vars(owner) if is_setting(owner, name)} | dict(members).keys()
        called = {name for name, member in members if type(member) is types.FunctionType and name[:2] == "__"}
        return self._names | (called if isinstance(owner, type) else called.difference(MAKING))

    def _attribute(self, owner: Any, name: str) -> None:
        """Look at an attribute: where it is, and where it is not, but would hide it."""
        hiding = []
        for holder in _holders(owner):
            if name in holder:
                break
            hiding.append(holder)
        else:
            return
        value = holder[name]
        if isinstance(owner, Versioned) and holder is vars(owner):
            self._meet(value)  # its settings are facts, see `declared`
            return
        for other in hiding:
            self._found(Link(other, name, ABSENT))
        self._found(Link(holder, name, value))
        for part in ("fget", "__func__", "func"):  # of a property, a static method, a cached property
            if not is_users(type(value).__module__):
                self._reach(getattr(value, part, None))

    # Tensors

    def _find_tensors(self, value: Any, way: list[Link]) -> None:
        """Find the Tensors, and the generators, that stand below something, by whatever names."""
        kind = type(value)
        if issubclass(kind, Recorded):
            self.ways.setdefault(id(value), []).extend(way)
        elif not issubclass(kind, (*PLAIN, np.ndarray, type, types.ModuleType, *FUNCTIONS)):
            generator = _generator_of(value)
            if generator is not None:
                self.generators.append(generator)
            elif id(value) not in self._below and len(way) <= DEPTH and not is_captures(value):
                self._below[id(value)] = value
                holder = value if issubclass(kind, (list, tuple, dict)) else attributes(value)
                for key, item in _items(holder):
                    if holder is value or is_setting(value, key):  # not what a layer notes for itself
                        self._find_tensors(item, [*way, Link(holder, key, item)])


def _named_by(fn: types.FunctionType) -> list[Link]:
    """List the variables around a function, the global ones that its code names, and what it imports."""
    found = []
    for cell in fn.__closure__ or ():
        with contextlib.suppress(ValueError):  # not assigned yet
            found.append(Link(cell, CELL, cell.cell_contents))
    if is_users(fn.__module__):
        names = names_in(fn.__code__)
        found += [Link(fn.__globals__, n, fn.__globals__[n]) for n in names if n in fn.__globals__]
        for module in _imported_in(fn.__code__):
            if is_users(module):
                found.append(Link(sys.modules, module, sys.modules.get(module, ABSENT)))
    return found


def codes_in(code: types.CodeType) -> Iterator[types.CodeType]:
    """Go through a code object, and those of the functions inside it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from codes_in(inner)


def names_in(code: types.CodeType) -> list[str]:
    """List the names in a code object, and in those inside it; texts too, as for ``getattr``."""
    texts = [text for inner in codes_in(code) for text in inner.co_consts if type(text) is str]
    names = [name for inner in codes_in(code) for name in inner.co_names]
    return list(dict.fromkeys([*names, *filter(str.isidentifier, texts)]))


def _imported_in(code: types.CodeType) -> list[str]:
    found = [
        i.argval for inner in codes_in(code) for i in dis.get_instructions(inner) if i.opname == "IMPORT_NAME"
    ]
    return [".".join(path.split(".")[: n + 1]) for path in found for n in range(path.count(".") + 1)]


def _rules_of(fn: Any) -> list[Any]:
    """List the gradient rules of a primitive of the user's, by what is decorated or what decorates it."""
    rules = [RULES[f] for f in (fn, getattr(fn, "__wrapped__", None)) if f in RULES]
    return [vjp for rule in rules for vjp in (*rule.vjps, rule.each, rule.definition) if vjp is not None]


def is_captures(value: Any) -> bool:
    """Tell whether something is one of this room's objects, such as a jitted function."""
    return type(value).__module__.startswith("tinygrad_edu.capture")


def _generator_of(value: Any) -> Any:
    """Return a generator of random numbers, or the one that a method such as ``rng.normal`` is of."""
    owner = value.__self__ if type(value) is types.BuiltinMethodType else value
    return owner if issubclass(type(owner), GENERATORS) else None


def _mro(value: Any) -> tuple[type, ...]:
    kind: Any = value if issubclass(type(value), type) else type(value)
    return kind.__mro__  # type: ignore[no-any-return]


def _holders(owner: Any) -> list[Any]:
    """List where an attribute of something is looked up, in order."""
    if isinstance(owner, (types.ModuleType, types.FunctionType)):
        return [vars(owner)]
    own = [] if issubclass(type(owner), type) else [attributes(owner)]
    return own + [vars(kind) for kind in _mro(owner) if is_users(kind.__module__)]


def _items(holder: Any) -> list[tuple[Any, Any]]:
    return list(enumerate(holder) if isinstance(holder, Sequence) else holder.items())
