"""Guards: whether what a function found outside itself is still what it was when its program was made.

A `Guard` is a quick test, before every call, of what `surroundings` has found, and of what the library's own
objects have declared (see `tracing`).
"""

import functools
from collections.abc import Iterable
from types import MethodType
from typing import Any

from ..recording import LEAF
from .surroundings import ABSENT, CELL, FEW, PLAIN, Link
from .trace import Fact, Lifted


class Guard:
    """A test, as Python source, whether every link, Tensor and fact is as it was.

    `world` holds the objects that the source names.
    """

    def __init__(
        self,
        found: Iterable[Link],
        sizes: Iterable[Any],
        arrays: Iterable[Any],
        tensors: Iterable[Lifted],
        facts: Iterable[Fact],
    ):
        self.world: dict[str, Any] = {"same": _same}
        places = {(id(link.holder), _Key(link.key)): link for link in found}
        self.tests = [self._link(*link) for link in places.values()]
        self.tests += [self._size(holder) for holder in sizes]
        self.tests += [self._array(array) for array in arrays]
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
        if value is ABSENT:
            return f"{at} not in {self.name(holder)}"
        place = f"{self.name(holder)}.cell_contents" if key is CELL else f"{self.name(holder)}[{at}]"
        kept = self.name(value)
        if issubclass(type(value), PLAIN):
            return f"({place} is {kept} or same({place}, {kept}))"
        if type(value) is MethodType:  # a new one each time
            return f"({place} is {kept} or {place} == {kept})"
        return f"{place} is {kept}"

    def _size(self, holder: Any) -> str:
        if isinstance(holder, (list, dict)) or len(holder) > FEW:
            return f"len({self.name(holder)}) == {len(holder)}"
        return f"{self.name(holder)} == {self.name(holder.copy())}"

    def _array(self, array: Any) -> str:
        a = self.name(array)
        shape, dtype, content = map(self.name, (array.shape, array.dtype, array.tobytes()))
        return f"{a}.shape == {shape} and {a}.dtype == {dtype} and {a}.tobytes() == {content}"

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
        return ["try:", *lines, " pass", f"except Exception: return {otherwise}"]


class _Key:
    """Compares keys by what they are: True is not 1, and what cannot be hashed is itself."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value

    def __hash__(self) -> int:
        return hash(self.value) if type(self.value) in (int, str) else id(self.value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Key):
            return False
        plain = type(self.value) is type(other.value) and type(self.value) in (int, str)
        return self.value is other.value or (plain and self.value == other.value)


def _same(now: Any, before: Any) -> bool:
    return type(now) is type(before) and repr(now) == repr(before)  # 0.0 and -0.0 differ
