"""State: what ends with a call, also with one that is interrupted (Ctrl-C) at any moment."""

import random
import signal
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor, nn
from tinygrad_edu.state import call_inside, call_recording, call_transforming, contained, current_state

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4)
Y = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]


def model() -> Any:
    layers = [nn.Dense(5, "relu", input_dim=4), nn.Dropout(0.1), nn.Dense(3, "softmax")]
    model = nn.Sequential(layers, seed=0)
    model.compile(nn.Adam(1e-5), "categorical_crossentropy")
    return model


def predicting() -> Callable[[], Any]:
    net = model()
    return lambda: net.predict(X)


def fitting() -> Callable[[], Any]:
    net = model()
    return lambda: net.fit(X, Y, batch_size=2, verbose=0)


def calling() -> Callable[[], Any]:
    net = model()
    return lambda: net(X)


def differentiating() -> Callable[[], Any]:
    inner = tg.grad(lambda y, x: np.sum(y * y * x))
    outer = tg.grad(lambda x: np.sum(np.tanh(inner(x, x))))
    return lambda: outer(np.ones(3))


def making_a_program() -> Callable[[], Any]:
    w = Tensor(np.ones((4, 3)), requires_grad=True)

    def run() -> None:
        sgd = nn.SGD(1e-9)

        @tg.jit
        def step(x: Any) -> Any:
            loss = np.sum((x @ w) ** 2)
            loss.backward()
            sgd.apply([w])
            return loss.data

        step(X)

    return run


def decorated() -> Callable[[], Any]:
    w = Tensor(np.ones(3), requires_grad=True)
    return tg.no_grad(lambda: w * 2)


def interrupt(_: int, frame: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # where Python ignores errors
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers of signals")
@pytest.mark.parametrize(
    "work",
    [predicting, fitting, calling, differentiating, making_a_program, decorated],
    ids=lambda w: w.__name__,
)
def test_an_interrupt_at_any_moment_leaves_the_state_as_it_was(work: Callable[[], Callable[[], Any]]) -> None:
    run, before = work(), current_state()
    run()
    began = time.perf_counter()
    run()
    took = time.perf_counter() - began
    chance, old = random.Random(0), signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(2000):
            try:
                signal.setitimer(signal.ITIMER_REAL, max(1e-5, chance.random() * took))
                deadline = time.perf_counter() + 10 * took + 0.01  # some are ignored
                while time.perf_counter() < deadline:
                    run()
            except KeyboardInterrupt:
                pass
            assert current_state() is before
            assert not nn.layers.is_training()
    finally:
        signal.signal(signal.SIGALRM, old)
    run()


def test_calls_in_another_state_nest_and_end() -> None:
    w = Tensor([1.0], requires_grad=True)
    before = current_state()

    def look() -> tuple[bool, tuple[str, ...], int]:
        now = current_state()
        return now.recording, now.scope, now.transforms

    assert call_inside("a", call_inside, "b", call_recording, False, look) == (False, ("a", "b"), 0)
    assert call_recording(False, call_transforming, look) == (True, (), 1)
    with pytest.raises(ZeroDivisionError):
        call_inside("a", lambda: 1 / 0)
    assert current_state() is before
    assert (w * 2).node.scope == ()


def test_what_a_contained_function_sets_for_its_context_ends_with_it() -> None:
    @contained
    def careless() -> Any:
        tg.no_grad().__enter__()
        return current_state().recording

    assert careless() is False
    assert current_state().recording


def test_blocks_that_end_in_an_error_and_threads_keep_their_own_state() -> None:
    seen: list[bool] = []

    def careless() -> None:
        with tg.no_grad(), tg.scope("a"):
            thread = threading.Thread(target=lambda: seen.append(current_state().recording))
            thread.start()
            thread.join()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        careless()
    assert seen == [True]
    assert current_state().recording
    assert current_state().scope == ()


@pytest.mark.parametrize("caller", ["grad", "layer"])
def test_what_a_function_sets_for_others_is_handed_back(caller: str) -> None:
    mode: ContextVar[str] = ContextVar("mode", default="")
    before = np.geterr()["under"]
    try:

        def careless(x: Any) -> Any:
            mode.set("changed")
            np.seterr(under="warn")
            return np.sum(x * x)

        class Careless(nn.Layer):
            def call(self, x: Any) -> Any:
                return careless(x)

        call: Any = tg.grad(careless) if caller == "grad" else Careless()
        call(np.ones(2))
        assert mode.get() == "changed"
        assert np.geterr()["under"] == "warn"
    finally:
        np.seterr(under=before)


def test_a_block_that_ends_in_another_context_says_so() -> None:
    block = tg.no_grad()

    def begin(x: Any) -> Any:
        block.__enter__()
        return np.sum(x)

    tg.grad(begin)(np.ones(2))
    assert current_state().recording
    with pytest.raises(RuntimeError, match="not entered here"):
        block.__exit__(None, None, None)
