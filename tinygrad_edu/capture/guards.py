"""Guards: whether what a function found outside itself is still what it was when its program was made.

A function reads more than its arguments: variables of the functions around it, global variables, attributes
of objects. `links` lists where it may look, and `Guard` makes a quick test that the same objects are
there.
"""

import functools
import inspect
import sys
import types
from collections.abc import Iterable, Iterator
from operator import is_
from typing import Any, NamedTuple

import numpy as np

from ..declared import is_setting
from ..recording import LEAF, Recorded
from .trace import Fact, Lifted

DEPTH = 8  # how many attributes and items deep Tensors are looked for
PLAIN = (bool, int, float, str, bytes, type(None))
GENERATORS = (np.random.Generator, np.random.RandomState)
IGNORED = (types.ModuleType, type, types.BuiltinFunctionType, np.ufunc, np.ndarray, *PLAIN)


class Link(NamedTuple):
    """A place, ``holder[key]`` (a cell has no key), and what was found there."""

    holder: Any
    key: Any
    value: Any


def functions_in(function: Any) -> Iterator[Any]:
    """Go through a function, those it wraps or is bound to, and the user's functions that it names."""
    waiting, seen = [function], set()
    while waiting:
        fn = waiting.pop()
        if isinstance(fn, functools.partial):
            waiting += [fn.func, *fn.args, *fn.keywords.values()]
        if isinstance(fn, types.MethodType):
            fn = fn.__func__
        if hasattr(fn, "function") and type(fn).__module__.startswith("tinygrad_edu.capture"):
            fn = fn.function  # a jitted function, which becomes part of this one
        elif isinstance(inspect.getattr_static(type(fn), "__call__", None), types.FunctionType):
            fn = type(fn).__call__
        if not isinstance(fn, types.FunctionType) or id(fn) in seen:
            continue
        seen.add(id(fn))
        yield fn
        waiting += [link.value for link in named_by(fn)]


def named_by(fn: types.FunctionType) -> list[Link]:
    """List the variables around a function, and the global variables of the user's that its code names."""
    found = []
    for cell in fn.__closure__ or ():
        try:
            found.append(Link(cell, None, cell.cell_contents))
        except ValueError:  # not assigned yet
            continue
    if (fn.__module__ or "").partition(".")[0] not in ("tinygrad_edu", "numpy"):
        names = _names(fn.__code__)
        found += [
            Link(fn.__globals__, name, fn.__globals__[name]) for name in names if name in fn.__globals__
        ]
    return found


def _names(code: types.CodeType) -> list[str]:
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return list(dict.fromkeys([*code.co_names, *(name for c in inner for name in _names(c))]))


def links(function: Any) -> list[Link]:
    """List what a function finds in the variables around it."""
    found = [link for fn in functions_in(function) for link in named_by(fn)]
    return [link for link in found if not isinstance(link.value, (types.ModuleType, type))]


def tensors_below(
    function: Any, roots: Iterable[Any]
) -> tuple[dict[int, list[Link]], list[Any], list["Held"]]:
    """Find the Tensors that a function can get at: by id, the links on the way to each.

    Also return the generators of random numbers that are found on the way, and what holds things there.
    """
    generators: list[Any] = []
    holders: list[Held] = []
    ways: dict[int, list[Link]] = {}
    seen: set[int] = set()

    def visit(value: Any, way: list[Link]) -> None:
        if isinstance(value, Recorded):
            ways.setdefault(id(value), []).extend(way)
            return
        value = value.__self__ if isinstance(getattr(value, "__self__", None), GENERATORS) else value
        if isinstance(value, IGNORED) or id(value) in seen or len(way) > DEPTH:
            return
        seen.add(id(value))
        if isinstance(value, GENERATORS):
            generators.append(value)
            return
        if isinstance(value, (list, tuple)):
            held: Any = enumerate(value)
            holder: Any = value
        elif isinstance(value, dict):
            held, holder = list(value.items()), value
        elif not hasattr(value, "__dict__") or _is_no_holder(value):
            return
        else:
            holder = vars(value)
            held = list(holder.items())
        held = list(held)
        if isinstance(holder, (list, dict)) and _is_users(value):
            holders.append(Held(value, holder, holder.copy()))
        for key, item in held:
            if holder is not value and not is_setting(value, key):
                continue  # what a layer or an optimizer notes for itself
            if not isinstance(item, IGNORED) or isinstance(getattr(item, "__self__", None), GENERATORS):
                visit(item, [*way, Link(holder, key, item)])

    for root in roots:
        visit(root, [])
    for fn in functions_in(function):
        for link in named_by(fn):
            visit(link.value, [link])
    return ways, generators, holders


class Held(NamedTuple):
    """A list, a dict or the attributes of an object, and a copy of them from before the function ran."""

    owner: Any
    holder: Any
    before: Any

    def changed(self) -> str | None:
        """Say what the function has changed there, if it has, and put it back."""
        now, before = self.holder, self.before
        if isinstance(now, list):
            same = len(now) == len(before) and all(map(is_, now, before))
            place = "a list"
        else:
            keys = [key for key in {**now, **before} if now.get(key, self) is not before.get(key, self)]
            keys = [key for key in keys if now is self.owner or is_setting(self.owner, key)]
            same, place = not keys, f"{keys[0]!r} of a {type(self.owner).__name__}" if keys else ""
        if same:
            return None
        if isinstance(now, list):
            now[:] = before
        else:
            for key in keys:
                now.pop(key, None)
                now.update({key: before[key]} if key in before else {})
        return place


def _is_users(value: Any) -> bool:
    """Tell whether an object may keep what a function has computed: not one of Python's own workings."""
    module = type(value).__module__.partition(".")[0]
    return module in ("builtins", "collections", "types") or module not in sys.stdlib_module_names


def _is_no_holder(value: Any) -> bool:
    """Tell whether an object's attributes are its own affair: a function's, a program's."""
    return callable(value) and type(value).__module__.startswith(
        ("tinygrad_edu.capture", "builtins", "functools")
    )


class Guard:
    """A test, as Python source, whether every link, Tensor and fact is as it was.

    `world` holds the objects that the source names.
    """

    def __init__(self, found: Iterable[Link], tensors: Iterable[Lifted], facts: Iterable[Fact]):
        self.world: dict[str, Any] = {"same": _same}
        found = list(found)
        links = dict.fromkeys(_hashable(link) for link in found)
        holders = {id(link.holder): link.holder for link in found if isinstance(link.holder, list)}
        self.tests = [self._link(*(by.value for by in link)) for link in links]
        self.tests += [f"len({self.name(holder)}) == {len(holder)}" for holder in holders.values()]
        self.tests += [self._tensor(lifted) for lifted in tensors]
        about: dict[int, list[Fact]] = {}
        for fact in facts:
            if fact.of is None:
                self.tests.append(f"{self.name(fact.get)}() == {self.name(fact.answer)}")
            else:
                about.setdefault(id(fact.of), []).append(fact)
        self.tests += map(self._object, about.values())

    def name(self, value: Any) -> str:
        """Give an object a name in the source."""
        key = f"v{len(self.world)}"
        self.world[key] = value
        return key

    def _link(self, holder: Any, key: Any, value: Any) -> str:
        at = repr(key) if type(key) in (int, str) else self.name(key)
        place = f"{self.name(holder)}.cell_contents" if key is None else f"{self.name(holder)}[{at}]"
        kept = self.name(value)
        return (
            f"({place} is {kept} or same({place}, {kept}))"
            if isinstance(value, PLAIN)
            else f"{place} is {kept}"
        )

    def _tensor(self, lifted: Lifted) -> str:
        tensor, node = self.name(lifted.tensor), self.name(LEAF) if lifted.node is LEAF else None
        grad = "None" if lifted.gradient_before is None else "not None"
        hooks = self.name(lifted.hooks)
        return f"{tensor}.node is {node} and {tensor}._grad is {grad} and {tensor}.hooks is {hooks}"

    def _object(self, facts: list[Fact]) -> str:
        of, seen = self.name(facts[0].of), self.name(facts[0].of.changes)
        return (
            f"({of}.changes == {seen} or {self.name(functools.partial(self._ask, facts, seen))}(globals()))"
        )

    def _ask(self, facts: list[Fact], seen: str, world: dict[str, Any]) -> bool:
        """Ask for the facts about an object that has changed, and remember that they are the same."""
        changes = facts[0].of.changes
        if not all(fact.get() == fact.answer for fact in facts):
            return False
        world[seen] = changes
        return True

    def guarded(self, otherwise: str) -> list[str]:
        """Write the lines that return something where the test fails."""
        lines = [f" if not ({test}): return {otherwise}" for test in self.tests]
        return ["try:", *lines, " pass", f"except (LookupError, ValueError): return {otherwise}"]


class _By:
    """Compares by identity what a link consists of."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value

    def __hash__(self) -> int:
        return id(self.value) if not isinstance(self.value, PLAIN) else hash(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _By) and (
            self.value is other.value or (isinstance(self.value, PLAIN) and self.value == other.value)
        )


def _hashable(link: Link) -> tuple[_By, _By, _By]:
    return _By(link.holder), _By(link.key), _By(link.value)


def _same(now: Any, before: Any) -> bool:
    return type(now) is type(before) and repr(now) == repr(before)  # 0.0 and -0.0 differ
