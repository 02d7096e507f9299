"""Plain arrays around a function that are indexed by traced ones: minibatches by indices, labels, tables."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from programs import assert_same_bits

import tinygrad_edu as tg
from tinygrad_edu import CaptureError, Tensor, nn

RNG = np.random.default_rng(0)
DATA, LABELS = RNG.normal(size=(50, 3)), RNG.integers(0, 4, 50)
KNOTS, HEIGHTS = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 2.0, 5.0])
INDEX = np.array([3, 0, 3, -1])


def batch(index: Any) -> Any:
    return DATA[index] * 2


def recursive(index: Any, depth: int = 2) -> Any:
    return DATA[index] if depth == 0 else recursive(index, depth - 1) + 1


def by_closure() -> Callable[[Any], Any]:
    local = DATA.copy()
    return lambda index: local[index, 1:]


PICKING: list[Callable[[Any], Any]] = [
    lambda index: DATA[index],
    lambda index: DATA[index, 0],
    lambda index: DATA[np.abs(index)],
    lambda index: np.take(DATA, index, axis=0),
    lambda index: np.stack([DATA[i] for i in index]),
    lambda index: tg.data.one_hot(LABELS[index], 4),
    lambda index: tg.data.one_hot(np.abs(index) % 4, 4),
    batch,
    recursive,
    by_closure(),
    functools.partial(lambda scale, index: scale * batch(index), 3.0),
]


@pytest.mark.parametrize("f", PICKING)
def test_a_plain_array_is_picked_from(f: Any) -> None:
    step = tg.jit(f)
    for index in (INDEX, INDEX[::-1].copy(), INDEX + 5):
        assert_same_bits(step(index), f(index))
    assert step.traces == 1


def test_by_what_a_transform_computes() -> None:
    x = np.array([0.5, 1.5, 1.9])
    for f in (
        lambda x: np.sum(x * HEIGHTS[np.searchsorted(KNOTS, x)]),
        lambda x: np.sum(x * HEIGHTS[np.digitize(x, KNOTS)]),
        lambda x: np.sum(np.interp(x, KNOTS, HEIGHTS[:3])),
        lambda x: np.sum(np.sin(x) * DATA[np.argmax(x)]),
    ):
        assert_same_bits(tg.jit(tg.grad(f))(x), tg.grad(f)(x))


def test_training_on_batches_by_their_indices() -> None:
    def trained(captured: bool) -> Any:
        w, optimizer = Tensor(np.zeros((3, 4)), requires_grad=True, name="w"), nn.Adam(0.1)

        def step(index: Any) -> Any:
            loss = nn.softmax_cross_entropy(DATA[index] @ w, LABELS[index])
            loss.backward()
            optimizer.apply([w])
            return loss.data

        run = tg.jit(step) if captured else step
        random = np.random.default_rng(1)
        return [run(random.integers(0, 50, 8)) for _ in range(10)], w.data

    assert_same_bits(trained(True)[0], trained(False)[0])
    assert_same_bits(trained(True)[1], trained(False)[1])


def test_elements_are_those_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.zeros(100_000)
    step = tg.jit(lambda index: table[index])
    assert step(INDEX).tolist() == [0, 0, 0, 0]
    table[3] = 7
    assert step(INDEX).tolist() == [7, 0, 7, 0]
    table = np.ones(4)
    assert step(INDEX).tolist() == [1, 1, 1, 1]
    with pytest.raises(IndexError, match="out of bounds"):
        step(INDEX + 9)


def test_what_is_made_inside_is_refused_and_says_what_to_write() -> None:
    with pytest.raises(CaptureError, match=r"np\.eye\(4\)\[index\] needs a plain array.*tg\.Tensor.*one_hot"):
        tg.jit(lambda index: np.eye(4)[index])(INDEX)


def test_a_function_that_writes_to_variables_is_not_copied() -> None:
    seen = 0

    def counting(index: Any) -> Any:
        nonlocal seen
        seen += 1
        return DATA[index]

    with pytest.raises(CaptureError):
        tg.jit(counting)(INDEX)
    assert seen == 0


def test_the_users_own_variables_stay_as_they_are() -> None:
    local, before = DATA.copy(), dict(globals())
    f = tg.jit(lambda index: local[index] + batch(index))
    f(INDEX)
    assert type(local) is np.ndarray
    assert local.flags.writeable
    assert all(globals()[name] is value for name, value in before.items())
