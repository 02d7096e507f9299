"""Random programs and steps, and what they are compared with; for all tests of capture."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import Tensor, nn

RNG = np.random.default_rng(0)
TYPES = (np.float32, np.float64)
FEW = settings(max_examples=max(15, settings.default.max_examples // 5))  # where each of them compiles


def assert_same_bits(a: Any, b: Any) -> None:
    """Compare arrays to the last bit, the sign of zero among them; NaN is NaN."""
    np.testing.assert_array_equal(a, b, strict=True)
    if np.asarray(a).dtype.kind == "f":
        known = ~np.isnan(a)
        np.testing.assert_array_equal(np.signbit(a)[known], np.signbit(b)[known])


# Steps of all kinds

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


# Calls that work element by element

ARRAYS = [(3, 4), (4,), (1, 4), (3, 1), (), (1, 1), (2, 3, 4), (4, 3), (2, 1, 3, 4)]
ELEMENTWISE: list[Callable[[Any], Any]] = [
    *(np.negative, np.square, np.abs, np.exp, nn.relu),
    *(lambda a: a * 0.5, lambda a: 2 - a, lambda a: a > 0.25, lambda a: a * np.float64(3)),
    *(lambda a: a.astype(np.float32), lambda a: a.astype(np.float64), lambda a: a.T, lambda a: a[..., ::-1]),
    lambda a: np.sum(a, axis=-1, keepdims=True),
]
ELEMENTWISE_TWO: list[Callable[[Any, Any], Any]] = [
    *(np.add, np.subtract, np.multiply, np.maximum, np.minimum),
    *(lambda a, b: np.where(a > b, a, b), lambda a, b: np.where(a != b, a, 1)),
    *(lambda a, b: a / (1 + np.square(b)), lambda a, b: (a >= b) * b),
]
elementwise_programs = st.fixed_dictionaries(
    {
        "calls": st.lists(
            st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)), min_size=3, max_size=20
        ),
        "results": st.lists(st.integers(0, 60), min_size=1, max_size=4),
        "kinds": st.lists(st.tuples(st.sampled_from(TYPES), st.sampled_from("CFSR")), min_size=9, max_size=9),
    }
)


def assert_random_program_is_exact(program: Any, compiled: bool) -> None:
    random, functions = np.random.default_rng(0), ELEMENTWISE + ELEMENTWISE_TWO

    def laid_out(shape: tuple[int, ...], dtype: Any, order: str) -> Any:
        array = random.normal(size=shape).astype(dtype)
        if order == "S" and shape:  # every second element of something longer
            return np.repeat(array, 2, axis=-1)[..., ::2]
        if order == "R" and shape:  # backwards
            return array[::-1]
        return np.asarray(array, order="F" if order == "F" else "C")

    inputs = [laid_out(shape, *kind) for shape, kind in zip(ARRAYS, program["kinds"], strict=True)]

    def function(*pool: Any) -> Any:
        pool = list(pool)
        for op, i, j in program["calls"]:
            a, b = pool[i % len(pool)], pool[j % len(pool)]
            of_one = op % len(functions) < len(ELEMENTWISE)
            fn = functions[op % len(functions)]
            try:
                pool.append(fn(a) if of_one else fn(a, b))
            except (ValueError, TypeError, IndexError, np.exceptions.AxisError):
                continue  # shapes that do not fit, or a sum of booleans: the same ones each time
        return [pool[-1 - i % len(pool)] for i in program["results"]]

    with np.errstate(all="ignore"):
        step = tg.jit(function, compiled=compiled)
        for _ in range(2):
            for got, expected in zip(step(*inputs), function(*inputs), strict=True):
                assert_same_bits(got, expected)


# Training

OPTIMIZERS: list[Callable[[], Any]] = [
    lambda: nn.SGD(0.1),
    lambda: nn.SGD(0.1, momentum=0.9, nesterov=True),
    lambda: nn.Adagrad(0.1),
    lambda: nn.RMSprop(0.01, centered=True),
    lambda: nn.Adam(0.01, weight_decay=0.1, clipnorm=1.0),
]
X = RNG.normal(size=(50, 6)).astype(np.float32)
Y = np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 50)]


def trained(optimizer: Any, **options: Any) -> Any:
    model = nn.Sequential([nn.Dense(20, "relu", input_dim=6), nn.Dense(3, "softmax")], seed=0)
    model.compile(optimizer, "categorical_crossentropy", **options)
    history = model.fit(X, Y, batch_size=16, epochs=3, seed=0, verbose=0)
    return history.history["loss"], [p.data for p in model.parameters]
