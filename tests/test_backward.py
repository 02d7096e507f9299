"""The chain rule: paths add up, backward can run twice, errors leave no trace, memory comes back."""

import gc
import sys
import threading
import time
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor
from tinygrad_edu.testing import check_gradient

X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]])


def leaf(data: Any = X) -> Tensor:
    return Tensor(np.asarray(data, float), requires_grad=True)


# Paths


def test_the_closed_form_of_the_course() -> None:
    """The gradient of softmax regression's cross-entropy is x.T @ (h - y) / N."""
    random = np.random.default_rng(0)
    x, W, b = random.normal(size=(32, 7)), leaf(random.normal(size=(7, 10))), leaf(np.zeros(10))
    y = np.eye(10)[random.integers(10, size=32)]
    z = x @ W + b
    h = np.exp(z) / np.sum(np.exp(z), axis=1, keepdims=True)
    loss = -np.sum(y * np.log(h)) / 32
    loss.backward()
    np.testing.assert_allclose(W.grad.data, x.T @ (h.data - y) / 32, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(b.grad.data, np.sum(h.data - y, axis=0) / 32, rtol=1e-12, atol=1e-15)


def test_a_diamond_adds_its_paths() -> None:
    def diamond(x: Any) -> Any:
        a = np.sin(x)
        b, c = a * x, a + x
        return b * c * a

    check_gradient(diamond, X)


def test_a_deep_diamond_visits_each_call_once() -> None:
    x = y = leaf(1.0)
    for _ in range(500):
        y = y * 0.5 + y * 0.5  # 2**500 paths
    y.backward()
    assert x.grad.item() == 1.0


def test_the_same_tensor_twice_in_one_call() -> None:
    check_gradient(lambda x: x * x + np.concatenate([x, x])[:2] + np.einsum("ij,ij->ij", x, x), X)
    check_gradient(lambda x: x**x, X)
    check_gradient(lambda x: np.where(X > 2.5, x, x) @ x.T, X)


def test_second_and_third_order_of_a_composition() -> None:
    x = leaf(0.7)
    y = np.exp(np.sin(x * x))
    expected = []
    for _ in range(3):
        x.grad = None
        y.backward(create_graph=True)
        y = x.grad
        expected.append(y.item())
    from tinygrad_edu.testing import numerical_jvp

    slope = lambda f: lambda t: numerical_jvp(f, [t], [1.0])  # noqa: E731
    f = lambda t: np.exp(np.sin(t * t))  # noqa: E731
    np.testing.assert_allclose(expected[0], slope(f)(0.7), rtol=1e-11)
    np.testing.assert_allclose(expected[1], slope(slope(f))(0.7), rtol=1e-8)
    np.testing.assert_allclose(expected[2], slope(slope(slope(f)))(0.7), rtol=1e-5)


def test_gradient_penalty_trains() -> None:
    def penalty(w: Any) -> Any:
        if not isinstance(w, Tensor):
            return np.sum((3 * w**2 + np.cos(w)) ** 2)
        g = tg.grad(lambda v: np.sum(v**3 + np.sin(v)))(w)
        return np.sum(g * g)

    check_gradient(penalty, np.array([0.3, 1.2]), order=1)


def test_a_rule_may_return_a_plain_array() -> None:
    @tg.primitive(lambda g, y, x: np.full(3, 2.0))
    def negated_sum(x: Any) -> Any:
        return 2 * np.sum(x)

    x = leaf([1.0, 2.0, 3.0])
    negated_sum(x).backward(create_graph=True)
    assert type(x.grad) is Tensor
    assert x.grad.tolist() == [2, 2, 2]


# Results of several arrays


def test_some_of_several_results() -> None:
    check_gradient(lambda x: np.split(x, 3, axis=1)[1], X)
    check_gradient(lambda x: (lambda p: p[0] * p[0] + p[2] * p[0])(np.split(x, 3, axis=1)), X)
    check_gradient(lambda x: [a * 2 for a in np.array_split(x, 2, axis=1)], X)
    check_gradient(lambda x: np.unstack(x)[1], X)


def test_one_of_several_results_does_not_hold_back_the_graph() -> None:
    x = leaf()
    first = np.split(x, 2)[0]
    gone = weakref.ref(first)
    del first
    assert gone() is None


def test_many_results_of_one_call_take_linear_time() -> None:
    def seconds(n: int) -> float:
        x = Tensor(np.ones(n), requires_grad=True)
        total = np.sum(np.concatenate([part * part for part in np.split(x, n)]))

        def once() -> float:
            start = time.process_time()
            total.backward()
            return time.process_time() - start

        return min(once() for _ in range(3))

    assert seconds(6000) < 9 * seconds(1500)  # and not 16 times


# Starting


def test_backward_needs_a_scalar_or_a_gradient() -> None:
    x = leaf()
    with pytest.raises(ValueError, match=r"scalar loss.*\(2, 3\)"):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"\(2, 3\), and got \(3,\)"):
        (x * 2).backward(gradient=np.ones(3))
    (x * 2).backward(gradient=np.arange(6).reshape(2, 3))
    assert x.grad.tolist() == [[0, 2, 4], [6, 8, 10]]
    assert x.grad.dtype == np.float64
    x.grad = None
    (x * 2).backward(gradient=Tensor(np.ones((2, 3))))
    assert x.grad.tolist() == [[2] * 3] * 2
    x.grad = None
    np.sum(x).backward(3)
    assert x.grad.tolist() == [[3] * 3] * 2


def test_backward_needs_something_to_differentiate() -> None:
    for loss in (Tensor(1.0), leaf().detach().sum(), np.sum(leaf() > 0)):
        with pytest.raises(RuntimeError, match="nothing to differentiate"):
            loss.backward()
    with tg.no_grad():
        loss = np.sum(leaf())
    with pytest.raises(RuntimeError, match="no_grad"):
        loss.backward()


def test_backward_of_a_leaf_is_one() -> None:
    x = leaf(3.0)
    x.backward()
    assert x.grad.item() == 1
    x.backward(create_graph=True)
    assert x.grad.item() == 2


# Adding up


def test_gradients_add_up_until_cleared() -> None:
    x = leaf()
    loss = np.sum(x * x)
    loss.backward()
    once = x.grad.numpy().copy()
    loss.backward()
    np.testing.assert_array_equal(x.grad.data, 2 * once)
    np.sum(x * x).backward()
    np.testing.assert_array_equal(x.grad.data, 3 * once)
    x.zero_grad()
    assert x.grad is None
    loss.backward()
    np.testing.assert_array_equal(x.grad.data, once)


def test_adding_up_does_not_change_a_gradient_already_handed_out() -> None:
    x = leaf()
    np.sum(x * x).backward()
    first = x.grad
    kept = first.data.copy()
    np.sum(x * x).backward()
    np.testing.assert_array_equal(first.data, kept)
    assert first is not x.grad


def test_gradients_of_two_leaves_do_not_share_writable_memory() -> None:
    a, b = leaf(), leaf()
    (a + b).backward(gradient=np.ones((2, 3)))
    for t in (a, b):
        assert not t.grad.data.flags.writeable
    np.sum(a).backward()
    assert b.grad.tolist() == [[1] * 3] * 2


def test_gradient_of_an_unused_leaf_stays_none() -> None:
    x, unused = leaf(), leaf()
    np.sum(x).backward()
    assert unused.grad is None


def test_backward_under_no_grad_still_works() -> None:
    x = leaf()
    loss = np.sum(x * x)
    with tg.no_grad():
        loss.backward()
    np.testing.assert_array_equal(x.grad.data, 2 * X)
    x.grad = None
    with tg.no_grad():
        loss.backward(create_graph=True)
    assert x.grad.requires_grad


def test_the_gradient_is_a_plain_tensor_without_create_graph() -> None:
    x = leaf()
    np.sum(x * x).backward()
    assert type(x.grad) is Tensor
    assert not x.grad.requires_grad
    np.sum(x * x).backward(create_graph=True)
    assert x.grad.requires_grad
    np.sum(x * x).backward()
    assert not x.grad.requires_grad


def test_retain_grad() -> None:
    x = leaf()
    h = (x * 3).retain_grad()
    loss = np.sum(h * h).retain_grad()
    loss.backward()
    np.testing.assert_array_equal(h.grad.data, 6 * X)
    np.testing.assert_array_equal(x.grad.data, 18 * X)
    assert loss.grad.item() == 1
    loss.backward()
    np.testing.assert_array_equal(h.grad.data, 12 * X)
    with pytest.raises(RuntimeError, match="requires a gradient"):
        Tensor(1.0).retain_grad()


def test_hooks_see_and_change_complete_gradients() -> None:
    x = leaf(2.0)
    h = x * 3
    seen: list[float] = []
    remove = h.register_hook(lambda g: seen.append(g.item()))
    (h * h + h).backward()
    assert seen == [13.0]
    remove()
    h.register_hook(lambda g: g * 0 + 1)
    x.grad = None
    (h * h).backward()
    assert x.grad.item() == 3
    assert seen == [13.0]


# Errors


def test_an_error_midway_leaves_gradients_untouched() -> None:
    @tg.primitive(lambda g, y, x: 1 / 0)
    def broken(x: Any) -> Any:
        return x * 1

    x, w = leaf(), leaf()
    np.sum(x).backward()
    before = x.grad
    loss = np.sum(broken(w) * x)
    for create_graph in (False, True):
        with pytest.raises(ZeroDivisionError):
            loss.backward(create_graph=create_graph)
    assert x.grad is before
    assert w.grad is None
    assert (x * 2).requires_grad


# Assigning


def test_older_graphs_keep_the_old_values() -> None:
    w = leaf([1.0, 2.0])
    loss = np.sum(w**3)
    w.assign([10.0, 20.0])
    loss.backward()
    assert w.grad.tolist() == [3, 12]
    assert w.tolist() == [10, 20]
    w.grad = None
    np.sum(w**3).backward()
    assert w.grad.tolist() == [300, 1200]


@pytest.mark.parametrize(
    "make",
    [
        lambda w: np.sum(w**3),
        lambda w: np.sum(np.concatenate([w, w * w])),
        lambda w: np.einsum("i,i,i->", w, w, w),
    ],
)
def test_a_second_order_gradient_after_assigning_is_refused(make: Any) -> None:
    w = leaf([1.0, 2.0])
    loss = make(w)
    w.assign([10.0, 20.0])
    with pytest.raises(RuntimeError, match="assigned new values"):
        loss.backward(create_graph=True)
    assert w.grad is None


def test_a_constant_assigned_new_values_is_what_it_was_for_recorded_calls() -> None:
    x, scale = leaf([1.0, 2.0]), Tensor([2.0, 3.0])
    loss = np.sum(x * scale)
    scale.assign([100.0, 100.0])
    loss.backward()
    assert x.grad.tolist() == [2, 3]
    x.grad = None
    loss.backward(create_graph=True)
    assert x.grad.tolist() == [2, 3]


def test_assign_checks_what_it_is_given() -> None:
    w = Tensor(np.ones(2, np.float32), requires_grad=True, name="w")
    with pytest.raises(ValueError, match=r"shape \(2,\), and got \(3,\)"):
        w.assign([1.0, 2.0, 3.0])
    with pytest.raises(RuntimeError, match="leaf"):
        (w * 2).assign([1.0, 2.0])
    mine = np.array([3.0, 4.0])
    w.assign(mine)
    mine[0] = 99
    assert w.tolist() == [3, 4]
    assert w.dtype == np.float32
    w.assign(Tensor([5.0, 6.0], requires_grad=True))
    assert w.tolist() == [5, 6]
    assert w.is_leaf
    with pytest.raises(ValueError, match="read-only"):
        w.data[0] = 0


# Size and memory


@pytest.mark.slow
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_chain_of_100_000_calls(create_graph: bool) -> None:
    x = y = leaf(1.0)
    for _ in range(100_000 if not create_graph else 30_000):
        y = y + 1e-9
    y.backward(create_graph=create_graph)
    assert x.grad.item() == 1
    gone = weakref.ref(y)
    del y
    assert gone() is None
    x.grad = None


@pytest.mark.slow
def test_a_chain_of_calls_with_several_results_and_lists_is_freed_without_recursion() -> None:
    x = y = leaf([1.0, 2.0])
    for _ in range(20_000):
        y = np.concatenate(np.split(y, 2))
    np.sum(y).backward()
    assert x.grad.tolist() == [1, 1]
    del y


def test_threads_that_add_to_one_leaf_lose_nothing() -> None:
    x, threads, each = leaf(np.zeros(3)), 4, 300
    start = threading.Barrier(threads)

    def work() -> None:
        start.wait()
        for _ in range(each):
            np.sum(x).backward()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        running = [threading.Thread(target=work) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert x.grad.tolist() == [threads * each] * 3


@tg.primitive(lambda g, y, p: {"a": [-g["a"][0], (-g["a"][1][0],)]})
def negated(p: Any) -> Any:
    return {"a": [-p["a"][0], (-p["a"][1][0],)]}


@pytest.mark.slow
def test_a_chain_of_nested_containers_is_freed_without_recursion() -> None:
    x = leaf([1.0, 2.0])
    tree: Any = {"a": [x, (x,)]}
    for _ in range(100_000):
        tree = negated(tree)
    gone = weakref.ref(tree["a"][0])
    del tree
    assert gone() is None


def test_the_recursion_limit_is_not_touched() -> None:
    x = y = leaf(1.0)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(150)
    try:
        for _ in range(2000):
            y = np.sin(y) * 1.0
        y.backward()
        del y
    finally:
        sys.setrecursionlimit(limit)
    assert np.isfinite(x.grad.item())


def train_step(w: Tensor, b: Tensor, x: Any, y: Any) -> None:
    h = np.maximum(x @ w + b, 0)
    parts = np.split(h, 2, axis=1)
    loss = np.mean((np.concatenate([parts[1], parts[0]], axis=1) - y) ** 2)
    w.zero_grad()
    b.zero_grad()
    loss.backward()
    for p in (w, b):
        p.assign(p.data - 0.01 * p.grad.data)


@pytest.mark.slow
def test_training_leaves_memory_flat_without_the_garbage_collector() -> None:
    random = np.random.default_rng(0)
    w, b = leaf(random.normal(size=(3, 4))), leaf(np.zeros(4))
    x, y = random.normal(size=(8, 3)), random.normal(size=(8, 4))
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            train_step(w, b, x, y)
        tracemalloc.start()
        for _ in range(3_000):  # until Python's stores of reusable tuples and lists are full
            train_step(w, b, x, y)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(500):
            train_step(w, b, x, y)
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        alive = count_alive()
        for _ in range(9_000):
            train_step(w, b, x, y)
        assert count_alive() == alive
        assert grown < 5_000
        assert gc.collect() == 0 or count_alive() == alive
    finally:
        tracemalloc.stop()
        gc.enable()


def count_alive() -> int:
    return sum(type(thing) in (Tensor, type(leaf().node)) for thing in gc.get_objects())


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_dropped_loss_frees_its_graph_at_once(create_graph: bool) -> None:
    gc.collect()
    gc.disable()
    try:
        w = leaf()
        h = np.tanh(w @ X.T)
        loss = np.sum(h * h)
        loss.backward(create_graph=create_graph)
        parts = [weakref.ref(h), weakref.ref(loss)]
        w.grad = None
        del h, loss
        assert [part() for part in parts] == [None, None]
    finally:
        gc.enable()


def test_time_grows_with_length_not_its_square() -> None:
    def seconds(n: int) -> float:
        y = leaf(1.0)
        for _ in range(n):
            y = y + 1.0
        start = time.process_time()  # not the clock on the wall, which runs on while others compute
        y.backward()
        return time.process_time() - start

    short = min(seconds(2000) for _ in range(3))
    assert seconds(20_000) < 40 * short
