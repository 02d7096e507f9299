"""Random programs: what a step computes, updates, keeps and returns is the same captured, bit for bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import Tensor, nn

ONE: list[Callable[[Any], Any]] = [
    np.tanh,
    np.sin,
    lambda a: np.exp(-np.abs(a)),
    np.square,
    lambda a: a**3,
    lambda a: -a,
    lambda a: +a,
    lambda a: a.T,
    lambda a: a[1:],
    lambda a: a[::-1],
    lambda a: a[..., None],
    lambda a: a[0] if np.ndim(a) else a,
    lambda a: np.reshape(a, -1),
    lambda a: np.sum(a, axis=0),
    lambda a: np.sum(a, axis=-1, keepdims=True),
    lambda a: np.max(a, axis=-1, keepdims=True),
    lambda a: np.mean(a),
    lambda a: np.sort(a, axis=-1),
    lambda a: np.cumsum(a, axis=-1),
    lambda a: np.where(a > 0, a, 0.5),
    lambda a: np.clip(a, -0.5, 0.5),
    lambda a: np.concatenate([a, a]),
    lambda a: np.split(a, [1])[1],
    lambda a: np.broadcast_to(a, (2, *np.shape(a))),
    lambda a: a.astype(np.float32).astype(np.float64),
    lambda a: nn.relu(a),
    lambda a: nn.softmax(a),
    lambda a: a * 1.0,
    lambda a: a[[0, -1, 0]],
    lambda a: np.var(a, axis=0),
    lambda a: tg.stop_gradient(a) * 2,
]
TWO: list[Callable[[Any, Any], Any]] = [
    np.add,
    np.subtract,
    np.multiply,
    np.maximum,
    lambda a, b: a / (1 + np.square(b)),
    np.matmul,
    np.vdot,
    lambda a, b: np.stack([a, b]),
    lambda a, b: np.where(a > b, a, b),
    np.outer,
]
SHAPES = [(3, 4), (4,), (1, 4), (4, 4), (), (3, 1)]


def same(a: Any, b: Any) -> None:
    """Compare two results, however deep."""
    if isinstance(a, (list, tuple)):
        assert type(a) is type(b)
        for left, right in zip(a, b, strict=True):
            same(left, right)
    elif isinstance(a, Tensor):
        assert isinstance(b, Tensor)
        same(a.data, b.data)
    elif a is None:
        assert b is None
    else:
        np.testing.assert_array_equal(a, b, strict=True)


class World:
    """Some parameters, and a step that is drawn: its calls, its loss, its update, its results."""

    def __init__(self, recipe: Any):
        self.recipe = recipe
        random = np.random.default_rng(0)
        self.tensors = [
            Tensor(random.normal(size=s), requires_grad=True, name=f"w{i}") for i, s in enumerate(SHAPES)
        ]
        self.optimizer = recipe["optimizer"]()

    def step(self, x: Any, y: Any) -> Any:
        pool = [x, y, *self.tensors]
        for kind, op, i, j in self.recipe["calls"]:
            a, b = pool[i % len(pool)], pool[j % len(pool)]
            fn = ONE[op % len(ONE)] if kind else TWO[op % len(TWO)]
            if np.ndim(a) + np.ndim(b) > 5 or np.size(a) * np.size(b) > 1000:
                continue
            try:
                result = fn(a) if kind else fn(a, b)
            except (ValueError, IndexError, np.exceptions.AxisError):
                continue  # shapes that do not fit, the same ones each time
            if np.size(result):  # NumPy warns of the mean of nothing
                pool.append(result)
        wanted = [pool[i % len(pool)] for i in self.recipe["loss"]]
        loss = sum(np.mean(np.square(value)) for value in wanted) + np.sum(self.tensors[0]) * 0.1
        loss.backward()
        grads = [t.grad for t in self.tensors]
        how = self.recipe["update"]
        if how == "optimizer":
            self.optimizer.apply(self.tensors)
        elif how == "by hand":
            with tg.no_grad():
                for t in self.tensors:
                    if t.grad is not None:
                        t.assign(t - 0.1 * t.grad)
                        t.zero_grad()
        elif how == "exchange":
            first, other = self.tensors[0], self.tensors[3]
            old = first.detach()
            first.assign(np.mean(other) + old)
            other.assign(np.sum(first) * 0.01 + other)
            self.tensors[1].assign(x[0])
            self.tensors[0].zero_grad()
        results = [pool[i % len(pool)] for i in self.recipe["results"]]
        results = [r.detach() if isinstance(r, Tensor) and not r.is_leaf else r for r in results]
        return (
            loss.detach(),
            results,
            grads[0],
            (x, pool[-1].detach() if isinstance(pool[-1], Tensor) else pool[-1]),
        )


numbers = st.integers(0, 60)
recipes = st.fixed_dictionaries(
    {
        "calls": st.lists(st.tuples(st.booleans(), numbers, numbers, numbers), min_size=1, max_size=14),
        "loss": st.lists(numbers, min_size=1, max_size=3),
        "update": st.sampled_from(["optimizer", "by hand", "exchange", "nothing"]),
        "results": st.lists(numbers, max_size=3),
        "optimizer": st.sampled_from(
            [lambda: nn.SGD(0.1), lambda: nn.SGD(0.1, momentum=0.9), lambda: nn.Adam(0.01), nn.Adagrad]
        ),
        "alias": st.booleans(),
    }
)


@given(recipe=recipes)
def test_captured_steps_equal_eager_steps(recipe: Any) -> None:
    assert_captured_equals_eager(recipe, compiled=False)


def assert_captured_equals_eager(recipe: Any, compiled: bool) -> None:
    """Take three steps both ways, and compare everything there is."""
    eager, captured = World(recipe), World(recipe)
    step = tg.jit(captured.step, compiled)
    random = np.random.default_rng(1)
    kept: list[tuple[Any, Any]] = []
    with np.errstate(all="ignore"):
        for _ in range(3):
            x = random.normal(size=(3, 4))
            y = x if recipe["alias"] else random.normal(size=(4,))
            before = [t.data for t in captured.tensors]
            copies = [np.array(b) for b in before]
            expected, got = eager.step(x.copy(), y.copy()), step(x, y)
            same(got, expected)
            for t, e in zip(captured.tensors, eager.tensors, strict=True):
                same(t.data, e.data)
                same(t.grad, e.grad)
            same(before, copies)  # what somebody holds of a parameter stays as it was
            kept.append((got, expected))
    for got, expected in kept:  # and so do the results of earlier calls
        if not any(isinstance(r, Tensor) for r in got[1]):
            same(got, expected)
    assert step.traces <= 2
