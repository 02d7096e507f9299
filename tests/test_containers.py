"""Containers: every kind of them, in arguments and results, through calls, transforms and programs."""

import dataclasses
from collections import Counter, OrderedDict, UserDict, defaultdict
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor
from tinygrad_edu.containers import leaves, like, paths, rebuild, spelled, structure, tree_map
from tinygrad_edu.testing import check_gradient


class Pair(NamedTuple):
    a: Any
    b: Any


class Batch(list):  # type: ignore[type-arg]
    pass


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: Any
    n: Any = 3


def trees() -> list[Any]:
    keyed = defaultdict(list, {"a": 1, 2: 2})
    return [
        *([1, 2], (1, 2), (1,), [], (), Pair(1, 2), Batch([1, 2]), {"a": 1, 2: 2}, keyed, OrderedDict(a=1)),
        *(Frozen(1, 2), slice(1, 2), [1, (2, {"a": Pair([3], Frozen(4, (5,)))})]),
    ]


@pytest.mark.parametrize("tree", trees(), ids=repr)
def test_every_container_is_opened_and_closed_again(tree: Any) -> None:
    found = leaves(tree)
    again = rebuild(tree, iter(found))
    assert again == tree
    assert type(again) is type(tree)
    more = tree_map(lambda leaf: (leaf or 0) + 1, tree)
    assert leaves(more) == [(leaf or 0) + 1 for leaf in found]
    assert structure(more) == structure(tree)
    assert [leaf for _, leaf in paths(tree)] == found
    world: dict[str, Any] = {}

    def name(value: Any) -> str:
        world[f"v{len(world)}"] = value
        return f"v{len(world) - 1}"

    assert eval(spelled(tree, repr, name), world) == tree


def test_structures_differ_by_kind_keys_and_lengths() -> None:
    different = [*trees(), [1, 2, 3], {"a": 1, 3: 2}, {"a": (1,), 2: 2}, 7]
    keys = [structure(tree) for tree in different]
    assert len(set(keys)) == len(different)


def test_what_is_no_container_is_a_leaf() -> None:
    for leaf in (None, 1, "text", np.ones(2), Tensor([1.0]), {1, 2}, UserDict(a=1), Frozen, Pair):
        assert (
            leaves(leaf) == [leaf] if not isinstance(leaf, (np.ndarray, Tensor)) else leaves(leaf)[0] is leaf
        )
    keyed = defaultdict(list)
    keyed["a"] = 1
    assert like(keyed, [2])["b"] == []  # with what makes its missing values


def test_named_tuples_of_tensors_are_arguments() -> None:
    A = np.array([[2.0, 1.0], [0.5, 3.0]])
    check_gradient(lambda a: np.stack(np.linalg.slogdet(a)), A)
    check_gradient(lambda a: np.concatenate(Batch([a, 2 * a])), A)
    check_gradient(lambda a: np.stack(Pair(a[0], a[1] * a[0])), A)


@tg.primitive(
    lambda g, y, p, scale: {"w": g[0] * scale + g[1], "b": g[1] * 1.0},
    lambda g, y, p, scale: np.sum(g[0] * p["w"]),
)
def affine(p: Any, scale: Any) -> Any:
    return {"scaled": p["w"] * scale, "sum": p["w"] + p["b"]}


def test_a_primitive_takes_and_returns_dicts() -> None:
    def f(p: Any, scale: Any) -> Any:
        out = affine(p, scale)
        return np.sum(out["scaled"] * out["sum"])

    p = {"w": np.array([1.0, 2.0]), "b": np.array([0.5, -1.0])}
    check_gradient(f, p, np.array(1.5))
    slope = tg.grad(f)
    np.testing.assert_array_equal(tg.jit(slope)(p, np.array(1.5))["w"], slope(p, np.array(1.5))["w"])


@tg.primitive(lambda g, y, batch: Frozen(g[0] * 2, None))
def doubled(batch: Any) -> Any:
    return Frozen(batch.x * 2, batch.n)


def test_a_primitive_takes_and_returns_dataclasses() -> None:
    check_gradient(lambda x: np.sum(doubled(Frozen(x, 7)).x ** 2), np.array([1.0, 2.0]))
    assert doubled(Frozen(Tensor([1.0], requires_grad=True), 7)).n == 7


def test_transforms_take_every_container() -> None:
    x = np.array([1.0, 2.0])
    for tree in (Pair(x, 2 * x), {"a": x, "b": [2 * x]}, Frozen(x, (2 * x,)), Batch([x, 2 * x])):
        slope = tg.grad(lambda t: sum(np.sum(leaf**2) for leaf in leaves(t)))(tree)
        assert type(slope) is type(tree)
        np.testing.assert_array_equal(leaves(slope), [2 * x, 4 * x])
        jitted = tg.jit(lambda t: tree_map(lambda leaf: leaf * 2, t))
        np.testing.assert_array_equal(leaves(jitted(tree)), [2 * x, 4 * x])
        assert type(jitted(tree)) is type(tree)


def test_subclasses_with_ways_of_their_own() -> None:
    class Point(tuple):
        __slots__ = ()

        def __new__(cls, x: Any, y: Any) -> "Point":
            return super().__new__(cls, (x, y))

    point = Point(np.array(2.0), np.array(3.0))
    slope = tg.grad(lambda p: p[0] * p[1])(point)
    assert (type(slope), list(map(float, slope))) == (Point, [3.0, 2.0])
    counts = Counter(x=2.0, y=3.0)  # which adds where a dict replaces
    assert tg.grad(lambda c: c["x"] * c["y"])(counts) == Counter(x=3.0, y=2.0)
    assert tg.jit(lambda c: c["x"] * 2)(counts) == 4.0
    assert counts == Counter(x=2.0, y=3.0)
