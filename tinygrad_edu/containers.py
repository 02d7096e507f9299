"""Containers: what arrays may stand in, and how to go through it. The one module that knows.

Containers are lists, tuples, dicts (and subclasses of these, named tuples among them), dataclasses and
slices. Everything else is a leaf. `children` opens one container, `like` closes it around other children; all
else here is made of these two.
"""

import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

# so common that asking whether they are containers would take longer than anything done to them
LEAVES = frozenset({np.ndarray, float, int, bool, str, type(None), np.float32, np.float64, type(Ellipsis)})


@functools.lru_cache(1000)
def opens(kind: Any) -> bool:
    """Tell whether things of a type are containers.

    >>> opens(dict), opens(float)
    (True, False)
    """
    return issubclass(kind, (list, tuple, dict, slice)) or dataclasses.is_dataclass(kind)


def children(tree: Any) -> Sequence[Any] | None:
    """List what stands directly in a container; return None for what is no container.

    >>> children({"a": 1, "b": [2, 3]}), children(4)
    ([1, [2, 3]], None)
    """
    kind: Any = type(tree)
    if not opens(kind):
        return None
    if isinstance(tree, (list, tuple)):
        return tree
    if isinstance(tree, dict):
        return list(tree.values())
    if isinstance(tree, slice):
        return (tree.start, tree.stop, tree.step)
    return [getattr(tree, field.name) for field in dataclasses.fields(tree)]


def like(tree: Any, parts: Sequence[Any]) -> Any:
    """Make a container like `tree` around other children.

    >>> like({"a": 1, "b": 2}, [3, 4])
    {'a': 3, 'b': 4}
    """
    kind: Any = type(tree)
    if kind is list or kind is tuple:
        return kind(parts)
    if kind is slice:
        return slice(*parts)
    if isinstance(tree, tuple):
        return tuple.__new__(kind, parts)  # whatever arguments the class itself takes
    if not isinstance(tree, (list, dict)):
        return _like_dataclass(tree, parts)
    twin = copy.copy(tree)  # with its own attributes, such as what a defaultdict makes
    if isinstance(tree, list):
        twin[:] = parts
    else:
        for key, part in zip(tree, parts, strict=True):
            twin[key] = part
    return twin


def _like_dataclass(tree: Any, parts: Sequence[Any]) -> Any:
    """Make a dataclass around other values. What it has computed from its fields would not be theirs."""
    kind, names = type(tree), [field.name for field in dataclasses.fields(tree)]
    for name in getattr(tree, "__dict__", {}).keys() - set(names):
        if not isinstance(inspect.getattr_static(kind, name, None), functools.cached_property):
            raise TypeError(
                f"{kind.__name__} keeps {name!r}, which is none of its fields and would not follow them; "
                "make it a field, a property or a cached_property"
            )
    twin = object.__new__(kind)
    for name, part in zip(names, parts, strict=True):
        object.__setattr__(twin, name, part)
    return twin


def tree_map(fn: Callable[[Any], Any], tree: Any) -> Any:
    """Apply `fn` to every leaf.

    >>> tree_map(abs, [-1, (2, {"a": -3})])
    [1, (2, {'a': 3})]
    """
    parts = children(tree)
    return fn(tree) if parts is None else like(tree, [tree_map(fn, part) for part in parts])


def leaves(tree: Any) -> list[Any]:
    """List the leaves, from left to right.

    >>> leaves([1, (2, {"a": 3})])
    [1, 2, 3]
    """
    parts = children(tree)
    return [tree] if parts is None else [leaf for part in parts for leaf in leaves(part)]


def paths(tree: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Go through the leaves, each after the keys that lead to it.

    >>> list(paths([1, {"a": 2}]))
    [((0,), 1), ((1, 'a'), 2)]
    """
    parts = children(tree)
    if parts is None:
        yield (), tree
        return
    for key, part in zip(_keys(tree), parts, strict=True):
        for path, leaf in paths(part):
            yield (key, *path), leaf


def at(tree: Any, path: Sequence[Any]) -> Any:
    """Return what stands in a tree where the keys of a path lead.

    >>> at([1, {"a": 2}], (1, "a"))
    2
    """
    for key in path:
        parts = children(tree)
        tree = tree[key] if parts is None else dict(zip(_keys(tree), parts, strict=True))[key]
    return tree


def rebuild(tree: Any, values: Iterator[Any]) -> Any:
    """Put values, from left to right, in the place of the leaves.

    >>> rebuild([1, (2, 3)], iter("abc"))
    ['a', ('b', 'c')]
    """
    return tree_map(lambda _: next(values), tree)


def structure(tree: Any) -> Any:
    """Return something hashable that two trees share if they differ in nothing but their leaves.

    >>> structure([1, (2, 3)]) == structure([4, (5, 6)]) != structure([1, [2, 3]])
    True
    """
    parts = children(tree)
    if parts is None:
        return None
    return (type(tree), tuple(_keys(tree)), *map(structure, parts))


def _keys(tree: Any) -> Any:
    """Return what tells the children of a container apart: numbers, keys or names."""
    if isinstance(tree, dict):
        return tree
    if isinstance(tree, (list, tuple)):
        return getattr(tree, "_fields", range(len(tree)))
    if isinstance(tree, slice):
        return ("start", "stop", "step")
    return [field.name for field in dataclasses.fields(tree)]


def matched(tree: Any, values: Any, need: str) -> list[Any]:
    """List the leaves of `values`, which must have the structure of `tree`, in the order of `tree`'s.

    A list may stand for a tuple and the other way round.

    Raises:
        ValueError: another structure, or a leaf of another shape. `need` is how the message begins.

    >>> matched({"a": 1, "b": 2}, {"b": 4, "a": 3}, "a gradient is needed")
    [3, 4]
    """
    parts = children(tree)
    if parts is None:
        if np.shape(values) != np.shape(tree):
            raise ValueError(f"{need} of shape {np.shape(tree)}, and got shape {np.shape(values)}")
        return [values]
    return [
        leaf
        for part, value in zip(parts, opened(tree, values, need), strict=True)
        for leaf in matched(part, value, need)
    ]


def opened(tree: Any, values: Any, need: str) -> Sequence[Any]:
    """List the children of `values`, a container like `tree`, in the order of those of `tree`."""
    if isinstance(tree, dict):
        if not isinstance(values, dict) or values.keys() != tree.keys():
            raise ValueError(f"{need} for each of {list(tree)}, and got {values!r:.60}")
        return [values[key] for key in tree]
    expected: Any = (list, tuple) if isinstance(tree, (list, tuple)) else type(tree)
    parts = children(values) if isinstance(values, expected) else None
    if parts is None or len(parts) != len(children(tree) or ()):
        raise ValueError(f"{need} for each of {len(children(tree) or ())} values, and got {values!r:.60}")
    return parts


def spelled(tree: Any, spell: Callable[[Any], str], name: Callable[[Any], str]) -> str:
    """Write the expression that makes a tree: `spell` writes a leaf, `name` anything that needs a name.

    >>> spelled({"a": [1, (2,)]}, str, str)
    "{'a': [1, (2,)]}"
    """
    parts = children(tree)
    if parts is None:
        return spell(tree)
    kind, texts = type(tree), [spelled(part, spell, name) for part in parts]
    if kind is dict:
        keys = [repr(key) if type(key) in (str, int) else name(key) for key in tree]
        return "{" + ", ".join(f"{key}: {text}" for key, text in zip(keys, texts, strict=True)) + "}"
    inside = ", ".join(texts)
    if kind is list:
        return f"[{inside}]"
    if kind is tuple:
        return f"({inside}{',' if len(texts) == 1 else ''})"
    if kind is slice or hasattr(tree, "_fields"):
        return f"{'slice' if kind is slice else name(kind)}({inside})"
    return f"{name(like)}({name(tree)}, [{inside}])"
