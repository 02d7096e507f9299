"""Arrays that change after a call: the gradient is that of the call, or an error says which has changed."""

import array as numbers
import collections
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor, keeping, nn

ones = np.ones(3)


def spoil(*arrays: Any) -> None:
    for array in arrays:
        array[...] = array[::-1].copy() if array.dtype.kind in "iub" else 100


# what a call reads besides its Tensor, and the call
CALLS: dict[str, tuple[Callable[[], Any], Callable[[Tensor, Any], Any]]] = {
    "operand": (lambda: np.array([1.0, 2.0, 3.0]), lambda w, a: w * a),
    "reflected": (lambda: np.array([1.0, 2.0, 3.0]), lambda w, a: a / w),
    "matrix": (lambda: np.arange(9.0).reshape(3, 3), lambda w, a: a @ w),
    "every other": (lambda: np.arange(12.0)[::2][::-1].reshape(2, 3), lambda w, a: a @ w),
    "index": (lambda: np.array([0, 1, 1]), lambda w, a: w[a] ** 2),
    "mask": (lambda: np.array([True, False, False]), lambda w, a: w[a] ** 2),
    "index in a tuple": (lambda: np.array([0, 1, 1]), lambda w, a: np.outer(w, w)[1, a] ** 2),
    "condition": (lambda: np.array([True, False, False]), lambda w, a: np.where(a, w, 2 * w)),
    "take": (lambda: np.array([0, 1, 1]), lambda w, a: np.take(w, a) ** 2),
    "repeat": (lambda: np.array([1, 2, 3]), lambda w, a: np.repeat(w, a) ** 2),
    "at": (lambda: np.array([0, 1]), lambda w, a: w.at[a].set(w[:2] ** 2)),
    "einsum": (lambda: np.arange(9.0).reshape(3, 3), lambda w, a: np.einsum("ij,j->i", a, w)),
    "where=": (lambda: np.array([True, False, False]), lambda w, a: np.sum(w * w, where=a)),
    "by name": (lambda: np.array([0, 1, 1]), lambda w, a: np.take(a=w, indices=a) ** 2),
    "labels": (lambda: np.array([2, 0, 1]), lambda w, a: nn.softmax_cross_entropy(np.outer(w, w), a)),
    "one-hot": (lambda: np.eye(3)[[2, 0, 1]], lambda w, a: nn.softmax_cross_entropy(np.outer(w, w), a)),
    "flattened": (
        lambda: np.arange(9.0).reshape(1, 3, 3),
        lambda w, a: nn.Flatten()(a) @ np.outer(w, w).ravel(),
    ),
    "layer": (lambda: np.arange(9.0).reshape(3, 3), lambda w, a: nn.Activation("relu")(a) @ w),
    "part of a larger": (lambda: np.arange(9.0).reshape(3, 3)[1], lambda w, a: w * a),
    "interp": (lambda: np.array([0.0, 1.0, 2.5]), lambda w, a: np.interp(w, a, np.array([0.0, 1.0, 5.0]))),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("again", [False, True], ids=["", "create_graph"])
def test_a_gradient_is_that_of_the_call_whatever_becomes_of_its_arrays(call: Any, again: bool) -> None:
    make, run = call
    results = []
    for change in (False, True):
        w = Tensor([0.3, 0.6, 0.9], requires_grad=True)
        array = make()
        loss = np.sum(run(w, array) ** 2)
        if change:
            spoil(array if array.base is None or array.flags.forc else array.base)
        loss.backward(create_graph=again)
        slope, w.grad = w.grad, None
        found = [slope.tolist()]
        if again:
            np.sum(slope * slope).backward()
            found.append(w.grad.tolist())
        results.append(found)
    assert results[0] == results[1]


def test_a_buffer_may_be_filled_again_at_any_time() -> None:
    buffer, W = np.zeros(3), Tensor(ones, requires_grad=True)
    losses = []
    for i in range(3):
        buffer[:] = i + 1
        losses.append(np.sum(W * buffer))
    (losses[0] + losses[1] + losses[2]).backward()
    assert W.grad.tolist() == [6, 6, 6]
    buffer[:] = 7
    losses[0].backward()
    assert W.grad.tolist() == [7, 7, 7]  # 6 and 1: the same again


def test_views_from_before_a_lock_reach_no_tensor() -> None:
    b = np.arange(3.0)
    view = b[:]
    b.setflags(write=False)
    w, layer_input = Tensor(b, requires_grad=True), nn.Activation("linear")(b)
    loss = np.sum(w * layer_input)
    view[:] = 0
    loss.backward()
    assert (w.tolist(), w.grad.tolist()) == ([0, 1, 2], [0, 1, 2])


def test_transforms_and_programs_keep_too() -> None:
    a = np.array([1.0, 2.0, 3.0])
    _, pullback = tg.vjp(lambda w: w * a, ones)
    w = Tensor(ones, requires_grad=True)
    y = tg.jit(lambda x: np.sum(w * x))(a)
    z = tg.checkpoint(lambda x: np.sum(w * x * x))(a)
    a[:] = 100
    assert pullback(ones)[0].tolist() == [1, 2, 3]
    y.backward()
    assert w.grad.tolist() == [1, 2, 3]
    z.backward()
    assert w.grad.tolist() == [2, 6, 12]


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_change_of_a_very_large_array_is_an_error(order: Any) -> None:
    with patch.object(keeping, "LARGE", 1000):
        a = np.asarray(np.random.default_rng(0).normal(size=(200, 3)), order=order)
        w = Tensor(ones, requires_grad=True)
        loss = np.sum(a @ w)
        loss.backward()
        assert loss.node is not None
        a[0, 0], a[0, 1] = a[0, 1], a[0, 0]  # two that change places
        with pytest.raises(RuntimeError, match=r"np.matmul .*test_keeping.py:\d+\) was given an array"):
            loss.backward()
        a[0, 0], a[0, 1] = a[0, 1], a[0, 0]
        loss.backward()
        np.testing.assert_allclose(w.grad.data, 2 * a.sum(0))


def test_a_fingerprint_shows_every_single_change() -> None:
    a = np.random.default_rng(0).integers(0, 256, 100_003).astype(np.uint8)
    before = keeping.fingerprint(a)
    for place in (0, 7, 8, 4096 * 8 - 1, 98_304, 100_002):
        a[place] ^= 128
        assert keeping.fingerprint(a) != before
        a[place] ^= 128
    assert keeping.fingerprint(a) == before


def test_what_no_rule_reads_is_not_copied() -> None:
    w, a = Tensor(ones, requires_grad=True), np.ones(3)
    assert (w + a).node.arrays[1] is a
    assert (w * a).node.arrays[1] is not a


def test_copies_lie_in_memory_as_the_arrays_do() -> None:
    base = np.arange(24.0).reshape(4, 6)
    for array in (base, base.T, base[::2, ::-2], base[:, 1], np.broadcast_to(base[0], (3, 6))):
        twin = keeping.kept(array)
        np.testing.assert_array_equal(twin, array)
        assert twin.strides == array.strides
        assert not np.shares_memory(twin, array)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: np.negative(a, out=a),
        lambda a: np.multiply(a, 2, out=a),
        lambda a: a.fill(0.5),
        lambda a: a.__setitem__((0, slice(2)), -a[0, :2]),
        lambda a: a.__setitem__((slice(None), slice(2)), -a[:, :2]),
        lambda a: a.__setitem__(slice(1024), a[:1024] * 2),
    ],
)
def test_a_fingerprint_shows_changes_of_many_elements(change: Any) -> None:
    for a in (np.ones((2048, 256)), np.random.default_rng(0).normal(size=(2048, 256))):
        before = keeping.fingerprint(a)
        change(a)
        assert keeping.fingerprint(a) != before


class Sub(np.ndarray):
    pass


@pytest.mark.parametrize(
    "make",
    [
        lambda path: np.memmap(path, dtype=float, mode="w+", shape=(3,)),
        lambda path: np.ones(3).view(Sub),
        lambda path: numbers.array("d", [1.0, 1.0, 1.0]),
        lambda path: memoryview(np.ones(3)),
        lambda path: collections.deque([1.0, 1.0, 1.0]),
    ],
    ids=["memmap", "subclass", "array", "memoryview", "deque"],
)
def test_what_is_taken_for_an_array_is_kept_like_one(make: Any, tmp_path: Any) -> None:
    a, x = make(tmp_path / "numbers"), Tensor(np.ones(3), requires_grad=True)
    for i in range(3):
        a[i] = 1.0
    loss = np.sum(x * a)
    for i in range(3):
        a[i] = 7.0
    loss.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1, 1]


def test_what_a_rule_reads_is_kept_however_it_is_written() -> None:
    class Rules:
        def vjp(self, g: Any, y: Any, x: Any, a: Any) -> Any:
            return g * a

    def on_one_line(g: Any, y: Any, x: Any, a: Any) -> Any:
        s = 2 * g; return a * s  # noqa: E702  # fmt: skip

    for rule, right in (
        (Rules().vjp, 1.0),
        (on_one_line, 2.0),
        (lambda g, y, x, a: (s := 2 * g) * a + 0 * s, 2.0),
    ):
        f = tg.primitive(rule)(lambda x, a: x * a)
        x, a = Tensor(np.ones(3), requires_grad=True), np.ones(3)
        loss = np.sum(f(x, a))
        a[:] = 7
        loss.backward()
        assert x.grad is not None
        assert x.grad.tolist() == [right] * 3


def test_a_result_never_lies_in_the_memory_of_what_the_caller_may_change() -> None:
    @tg.primitive(lambda g, y, x, q: g, None)
    def straight_through(x: Any, q: Any) -> Any:
        return q

    @tg.primitive(lambda g, y, x, q: g[0], None)
    def both(x: Any, q: Any) -> Any:
        return x * 1, q

    x, buffer = Tensor([0.2, 0.8, 1.4], requires_grad=True), np.zeros((2, 3))
    for made in (straight_through(x, buffer[0]), both(x, buffer[0])[1]):
        buffer[:] = 9
        assert made.tolist() == [0, 0, 0]
        assert buffer.flags.writeable
        buffer[:] = 0
    a = np.zeros(3)
    for _, q in (np.broadcast_arrays(x.detach(), a), np.meshgrid(x[:1], a, copy=False)):
        a[:] = 9
        assert np.all(q.numpy() == 0)
        a[:] = 0
