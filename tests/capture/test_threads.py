"""Several threads: one traces, others use the same Tensors; two train at once; none waits for nothing."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor, nn
from tinygrad_edu.capture.homes import home_of

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4)


def in_threads(*works: Callable[[], Any]) -> list[BaseException]:
    """Run functions at the same time, and return their errors."""
    errors: list[BaseException] = []

    def run(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "waits for ever"
    return errors


def test_others_use_a_model_that_is_being_traced() -> None:
    model = nn.Sequential([nn.Dense(5, "relu", input_dim=4), nn.Dense(3)], seed=0)
    W = model.parameters[0]
    before, inside, done = np.array(W.data), threading.Event(), threading.Event()

    @tg.jit
    def step(x: Any) -> Any:
        loss = np.sum(model(x) ** 2)
        loss.backward()
        nn.SGD(0.1).apply(model.parameters)
        if not inside.is_set():  # in the middle of the trace: let the other one look
            inside.set()
            assert done.wait(60)
        return loss.data

    def look() -> None:
        try:
            assert inside.wait(60)
            assert type(W.data) is np.ndarray
            np.testing.assert_array_equal(W.data, before)
            expected = np.maximum(X @ before + model.parameters[1].data, 0)
            expected = expected @ model.parameters[2].data + model.parameters[3].data
            np.testing.assert_allclose(model.predict(X), expected, rtol=1e-6)
            np.sum(
                model(X) ** 2
            ).backward()  # a gradient that the other thread's update has nothing to do with
            assert type(W.grad.data) is np.ndarray
        finally:
            done.set()

    assert in_threads(lambda: step(X), look) == []


def test_a_trace_that_is_interrupted_leaves_every_tensor_as_it_was() -> None:
    w = Tensor(np.ones(3), requires_grad=True)
    w.grad = Tensor(np.full(3, 2.0))
    values, gradient = w.data, w.grad

    @tg.jit
    def step(x: Any) -> None:
        np.sum(w * x).backward()
        w.assign(w - w.grad)
        w.grad = None
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step(np.ones(3))
    assert w.data is values
    assert w.grad is gradient


def test_two_models_have_no_lock_in_common_and_shared_tensors_have() -> None:
    a, b, c = (Tensor(np.ones(2), requires_grad=True) for _ in range(3))
    homes = [home_of(tensors, [t.data for t in tensors]) for tensors in ([a], [b], [a, b], [c], [b, c])]
    locks = [{lock.number for lock in home.locks} for home in homes]
    assert locks[0].isdisjoint(locks[1])
    assert locks[2] == locks[0] | locks[1]
    assert locks[3].isdisjoint(locks[2])
    assert locks[4] >= locks[1] | locks[3]


def test_a_step_of_one_model_does_not_wait_for_one_of_another() -> None:
    waiting, done = threading.Event(), threading.Event()

    def hold(x: Any) -> Any:
        if waiting.is_set():  # not while tracing
            assert done.wait(60), "the other model waited"
        return x * 1.0

    held = tg.primitive(lambda g, y, x: g)(tg.opaque(hold))

    def make(function: Callable[[Any], Any]) -> Any:
        w, sgd = Tensor(np.ones(3), requires_grad=True), nn.SGD(0.1)

        @tg.jit
        def step(x: Any) -> Any:
            np.sum(function(w * x)).backward()
            sgd.apply([w])
            return w.data

        step(np.ones(3))
        return step

    slow, quick = make(held), make(np.tanh)

    def run_quick() -> None:
        quick(np.ones(3))
        done.set()

    waiting.set()
    assert in_threads(lambda: slow(np.ones(3)), run_quick) == []


def test_threads_that_train_tensors_in_common_lose_no_step() -> None:
    a, b, c = (Tensor(np.zeros(2), requires_grad=True) for _ in range(3))

    def make(*tensors: Tensor) -> Any:
        @tg.jit
        def step() -> None:
            for tensor in tensors:
                tensor.assign(tensor + 1.0)

        step()
        return step

    steps = [make(a, b), make(b, c), make(c, a)]
    assert in_threads(*(lambda step=step: [step() for _ in range(300)] for step in steps)) == []
    assert [t.tolist() for t in (a, b, c)] == [[602.0, 602.0]] * 3
