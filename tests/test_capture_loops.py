"""Compiled loops: jit(compiled=True) gives what NumPy's calls give, to the last bit, in fewer passes."""

import builtins
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_capture_programs import assert_captured_equals_eager, recipes

import tinygrad_edu as tg
from tinygrad_edu import Tensor, nn
from tinygrad_edu.capture.loops import TEXTS
from tinygrad_edu.rules.shapes import astype

FEW = settings(max_examples=max(8, settings.default.max_examples // 10))  # each of them compiles
RNG = np.random.default_rng(0)
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-45, -1e-45, 1e-320, 3e38, 1e-38, 1e300]
TYPES = (np.float32, np.float64)


def assert_same_bits(a: Any, b: Any) -> None:
    """Compare arrays to the last bit, the sign of zero among them; NaN is NaN."""
    np.testing.assert_array_equal(a, b, strict=True)
    if np.asarray(a).dtype.kind == "f":
        known = ~np.isnan(a)
        np.testing.assert_array_equal(np.signbit(a)[known], np.signbit(b)[known])


def loops_in(step: Any) -> list[str]:
    return [line for line in step.source.splitlines() if line.startswith("def loop_")]


# Every operation ---------------------------------------------------------------------------------------


def written_as(fn: Any) -> Callable[[Any, Any], Any]:
    """Return a function of two arrays that uses `fn` in the middle, where a loop will be."""
    if fn is np.where:
        return lambda a, b: -np.where(a > b, a, b)
    if fn is astype:
        return lambda a, b: (a - b).astype(np.float32).astype(np.float64) + (a > b).astype(a.dtype)
    if getattr(fn, "nin", 2) == 1:
        return lambda a, b: fn(a * b) - b
    return lambda a, b: -(fn(a, b) * a)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("fn", TEXTS, ids=lambda fn: fn.__name__)
def test_each_operation_is_exact(fn: Any, dtype: Any) -> None:
    with np.errstate(all="ignore"):
        special = np.array(SPECIAL).astype(dtype)
        a = np.concatenate([np.repeat(special, len(special)), RNG.normal(size=1000).astype(dtype)])
        b = np.concatenate([np.tile(special, len(special)), RNG.normal(size=1000).astype(dtype)])
        function = written_as(fn)
        step = tg.jit(function, compiled=True)
        assert_same_bits(step(a, b), function(a, b))
        assert len(loops_in(step)) == 1
        assert_same_bits(step(a, a), function(a, a))


def test_rounding_operations_stay_with_numpy() -> None:
    step = tg.jit(lambda x: np.exp(x * 2 + 1) * 3 - np.tanh(x), compiled=True)
    x = RNG.normal(size=100)
    assert_same_bits(step(x), np.exp(x * 2 + 1) * 3 - np.tanh(x))
    assert "exp(" in step.source.partition("def step")[2]
    assert not set(TEXTS) & {np.exp, np.log, np.tanh, np.power, np.sin, np.add.reduce}


# Random ones -------------------------------------------------------------------------------------------

ARRAYS = [(3, 4), (4,), (1, 4), (3, 1), (), (1, 1), (2, 3, 4), (4, 3)]
ONE: list[Any] = [np.negative, np.square, np.abs, lambda a: a * 0.5, lambda a: 2 - a, lambda a: a > 0.25]
ONE += [lambda a: a.T, lambda a: a.astype(np.float32), lambda a: a.astype(np.float64), np.exp, nn.relu]
ONE += [lambda a: np.sum(a, axis=-1, keepdims=True), lambda a: a[..., ::-1], lambda a: a * np.float64(3)]
TWO: list[Any] = [
    np.add,
    np.subtract,
    np.multiply,
    np.maximum,
    np.minimum,
    lambda a, b: np.where(a > b, a, b),
]
TWO += [lambda a, b: a / (1 + np.square(b)), lambda a, b: (a >= b) * b, lambda a, b: np.where(a != b, a, 1)]


@FEW
@given(
    calls=st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)), min_size=3, max_size=20
    ),
    results=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    kinds=st.lists(st.tuples(st.sampled_from(TYPES), st.sampled_from("CFS")), min_size=8, max_size=8),
)
def test_random_elementwise_programs_are_exact(calls: Any, results: Any, kinds: Any) -> None:
    random = np.random.default_rng(0)

    def laid_out(shape: tuple[int, ...], dtype: Any, order: str) -> Any:
        array = random.normal(size=shape).astype(dtype)
        if order == "S" and shape:  # every second element of something longer
            return np.repeat(array, 2, axis=-1)[..., ::2]
        return np.asarray(array, order="F" if order == "F" else "C")

    inputs = [laid_out(shape, *kind) for shape, kind in zip(ARRAYS, kinds, strict=True)]

    def function(*pool: Any) -> Any:
        pool = list(pool)
        for op, i, j in calls:
            a, b = pool[i % len(pool)], pool[j % len(pool)]
            fn = (ONE + TWO)[op % len(ONE + TWO)]
            try:
                pool.append(fn(a) if op % len(ONE + TWO) < len(ONE) else fn(a, b))
            except (ValueError, TypeError, IndexError, np.exceptions.AxisError):
                continue  # shapes that do not fit, or a sum of booleans: the same ones each time
        return [pool[-1 - i % len(pool)] for i in results]

    with np.errstate(all="ignore"):
        step = tg.jit(function, compiled=True)
        for _ in range(2):
            for got, expected in zip(step(*inputs), function(*inputs), strict=True):
                assert_same_bits(got, expected)


@FEW
@given(recipe=recipes)
def test_compiled_steps_equal_eager_steps(recipe: Any) -> None:
    assert_captured_equals_eager(recipe, compiled=True)


# Training ----------------------------------------------------------------------------------------------

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


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_model_trains_to_the_same_bits(optimizer: Callable[[], Any]) -> None:
    losses, parameters = trained(optimizer(), jit_compile=True)
    expected_losses, expected = trained(optimizer(), run_eagerly=True)
    assert losses == expected_losses
    for got, wanted in zip(parameters, expected, strict=True):
        assert_same_bits(got, wanted)


def test_numbers_of_an_optimizer_stay_live() -> None:
    w = Tensor(np.ones(8, np.float32), requires_grad=True, name="w")
    adam = nn.Adam(0.5)

    @tg.jit(compiled=True)
    def step(x: Any) -> Any:
        loss = np.sum(np.square(w - x))
        loss.backward()
        adam.apply([w])
        return loss

    step(X[0, :1])
    adam.learning_rate = 0.0
    before = w.data
    step(X[0, :1])
    np.testing.assert_array_equal(w.data, before)
    assert step.traces == 1
    assert step.compiled


def test_results_belong_to_the_caller() -> None:
    def function(x: Any) -> Any:
        y = x * 2 + 1
        return y, -y, y > 0

    step = tg.jit(function, compiled=True)
    x = RNG.normal(size=(5, 4))
    first = step(x)
    copies = [np.array(part) for part in first]
    step(x + 1)
    for part, copy, expected in zip(first, copies, function(x), strict=True):
        assert_same_bits(part, copy)
        assert_same_bits(part, expected)
        part[...] = 0  # writable, as any array that NumPy makes


# What there is to see ----------------------------------------------------------------------------------


def test_adam_is_one_loop_that_reads_like_its_formula() -> None:
    w = Tensor(np.ones((3, 20), np.float32), requires_grad=True, name="W")
    adam = nn.Adam(0.1)

    def step(x: Any) -> Any:
        loss = np.sum(np.square(x @ w))
        loss.backward()
        adam.apply([w])
        return loss

    plain, compiled = tg.jit(step), tg.jit(step, compiled=True)
    plain(X[:, :3])
    compiled(X[:, :3])
    assert "from numba import njit" in compiled.source
    assert "from numba" not in plain.source
    *_, body = compiled.source.partition("def program")[0].split("\n\n\n@njit")
    assert "def loop_new_W(" in body
    for line in ("difference = d_W_flat[i] - W_mean_flat[i]", "sqrt = np.sqrt(", "= W_flat[i] - "):
        assert line in body
    assert compiled.report().calls < plain.report().calls
    assert ("loops joined", compiled.report().passes[-1][1]) == compiled.report().passes[-1]
    assert compiled.report().flops == plain.report().flops


def test_the_source_runs_alone() -> None:
    step = tg.jit(lambda x, y: np.maximum(x - y, 0) * 2, compiled=True)
    x, y = RNG.normal(size=(2, 4, 3))
    expected = step(x, y)
    world: dict[str, Any] = {}
    exec(step.source, world)
    (again,) = world["program"]()(x, y)
    assert_same_bits(again, expected)
    imports = [line for line in step.source.splitlines() if "import" in line]
    assert imports == ["import numpy as np", "from numba import njit"]


def test_names_do_not_collide() -> None:
    def function(njit: Any, larger: Any, i: Any) -> Any:
        np_ = np.maximum(njit, larger) + i
        return np_ * np_ - njit

    step = tg.jit(function, compiled=True)
    a, b, c = RNG.normal(size=(3, 4, 4))
    assert_same_bits(step(a, b, c), function(a, b, c))


def test_long_chains_become_several_loops() -> None:
    def function(x: Any) -> Any:
        for _ in range(100):
            x = x * 0.5 + 1
        return x

    step = tg.jit(function, compiled=True)
    x = RNG.normal(size=10)
    assert_same_bits(step(x), function(x))
    assert 4 < len(loops_in(step)) < 20


def test_what_is_read_only_inside_a_loop_has_no_array() -> None:
    def function(x: Any) -> Any:
        y = x + 1
        return y * y - y

    step = tg.jit(function, compiled=True)
    assert_same_bits(step(X), function(X))
    assert step.report().buffers == 0
    assert loops_in(step) == ["def loop_difference(x, difference):"]


def test_programs_share_loops_so_that_each_is_compiled_once() -> None:
    step = tg.jit(lambda x: (x * 0.75 + 0.125) * x, compiled=True)
    for rows in (3, 5, 7):
        x = RNG.normal(size=(rows, 2))
        assert_same_bits(step(x), (x * 0.75 + 0.125) * x)
    assert step.traces == 3
    worlds = [prepared.emitted.make.func.__globals__ for [prepared] in step.programs.values()]
    (name,) = {name for world in worlds for name in world if name.startswith("loop_")}
    assert len({id(world[name]) for world in worlds}) == 1
    assert len(worlds[0][name].signatures) == 1


# How it is asked for -----------------------------------------------------------------------------------


def half(x: Any) -> Any:
    return x * 0.5 - 1


pickled = tg.jit(half, compiled=True)


def test_ways_to_ask_for_it() -> None:
    decorated = tg.jit(compiled=True)(half)
    assert decorated.compiled
    assert tg.jit(decorated, compiled=True) is decorated
    assert not tg.jit(decorated).compiled
    assert not tg.jit(half).compiled
    assert tg.jit()(half).compiled is False
    again = pickle.loads(pickle.dumps(tg.jit(half, compiled=True)))
    assert again.compiled
    assert_same_bits(again(X), half(X))


def test_methods_keep_it() -> None:
    class Halver:
        @tg.jit(compiled=True)
        def halve(self, x: Any) -> Any:
            return x * 0.5 - 1

    halver = Halver()
    assert_same_bits(halver.halve(X), half(X))
    assert loops_in(halver.halve)


def test_without_numba_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "numba":
            raise ImportError("No module named 'numba'")
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(
        ImportError, match=r'compiled loops need Numba .*pip install "tinygrad-edu\[compile\]"'
    ):
        tg.jit(half, compiled=True)
    model = nn.Sequential([nn.Dense(1, input_dim=2)])
    with pytest.raises(ImportError, match="need Numba"):
        model.compile("sgd", "mse", jit_compile=True)
    tg.jit(half)(X)


def test_eagerly_and_compiled_exclude_each_other() -> None:
    model = nn.Sequential([nn.Dense(1, input_dim=2)])
    with pytest.raises(ValueError, match="run_eagerly or jit_compile, not both"):
        model.compile("sgd", "mse", run_eagerly=True, jit_compile=True)
