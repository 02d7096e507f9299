"""Compiled loops: jit(compiled=True) gives what NumPy's calls give, to the last bit, in fewer passes."""

import copy
import gc
import pickle
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from programs import (
    FEW,
    OPTIMIZERS,
    RNG,
    TYPES,
    X,
    Y,
    assert_captured_equals_eager,
    assert_random_program_is_exact,
    assert_same_bits,
    elementwise_programs,
    recipes,
    trained,
)

import tinygrad_edu as tg
from tinygrad_edu import Tensor, nn
from tinygrad_edu.capture.facts import SHEET, facts
from tinygrad_edu.capture.loops import LONGEST, Loop
from tinygrad_edu.capture.traced import Traced
from tinygrad_edu.rules.shapes import astype

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-45, -1e-45, 1e-320, 3e38, 1e-38, 1e300]


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
@pytest.mark.parametrize("fn", [fn for fn in SHEET if facts(fn).loop], ids=lambda fn: fn.__name__)
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
    assert not any(facts(fn).loop for fn in (np.exp, np.log, np.tanh, np.power, np.sin, np.add.reduce))


@pytest.mark.slow
def test_numbers_are_rounded_as_numpy_rounds_them() -> None:
    once, twice = 2**60 + 2**36 + 1, 2**70
    for number in (once, twice, -twice, True, -np.inf, np.nan, np.float64(0.1), np.array(0.1)):

        def function(x: Any, number: Any = number) -> Any:
            return np.maximum(x * number - 1, number)

        for dtype in TYPES:
            x = np.array([0.5, 1.0, -3.0], dtype)
            assert_same_bits(tg.jit(function, compiled=True)(x), function(x))


@pytest.mark.slow
def test_whole_numbers_and_booleans_stay_with_numpy() -> None:
    def function(x: Any, n: Any) -> Any:
        mask, more = x > 0, x > 1
        return (
            (mask + more) * 2 - n,
            (mask + more) * x,
            (mask == more) * x + 1,
            np.where(n, x, 0) - 1,
            n * n - n,
        )

    step = tg.jit(function, compiled=True)
    x, n = RNG.normal(size=(4, 4)), RNG.integers(0, 3, (4, 4))
    for got, expected in zip(step(x, n), function(x, n), strict=True):
        assert_same_bits(got, expected)


def test_sums_of_booleans_are_booleans() -> None:
    step = tg.jit(lambda x: ((x > 0) + (x > 1)) * x - 1, compiled=True)
    assert_same_bits(step(X), ((X > 0) + (X > 1)) * X - 1)


def test_conversions_to_booleans() -> None:
    def function(x: Any) -> Any:
        return np.where((x * 2).astype(bool), x, -1) + (x - x).astype(bool).astype(x.dtype)

    x = np.array([0.0, -0.0, np.nan, 1e-320, 3.0])
    assert_same_bits(tg.jit(function, compiled=True)(x), function(x))


def test_empty_arrays_and_single_numbers() -> None:
    def function(x: Any) -> Any:
        return (x * 2 + 1) * x

    step = tg.jit(function, compiled=True)
    for x in (np.ones((0, 3)), np.array(2.0), np.float32(2)):
        assert_same_bits(step(x), function(x))
        assert not loops_in(step)


def test_options_of_calls_are_kept() -> None:
    def function(x: Any) -> Any:
        return np.add(x * 2, 1, dtype=np.float64) - 1

    x = X.copy()
    assert_same_bits(tg.jit(function, compiled=True)(x), function(x))


# Order, memory and names -------------------------------------------------------------------------------


def test_a_view_of_a_result_comes_after_it() -> None:
    def function(x: Any) -> Any:
        y = x * 2 + 1
        return y, y.T, y * 3 - 1

    for got, expected in zip(tg.jit(function, compiled=True)(X), function(X), strict=True):
        assert_same_bits(got, expected)


def test_errors_that_the_function_asks_for_are_raised_on_every_call() -> None:
    @tg.jit(compiled=True)
    def function(x: Any) -> Any:
        with np.errstate(divide="raise"):
            return 1 / x * 2 + 1

    assert_same_bits(function(np.ones(3)), np.full(3, 3.0))
    with pytest.raises(FloatingPointError):
        function(np.zeros(3))


def test_parameters_that_lie_backwards_in_memory() -> None:
    w = Tensor(np.zeros((3, 4)), requires_grad=True)
    w.assign(np.zeros((3, 4)))
    w.assign(w.data[::-1])

    @tg.jit(compiled=True)
    def step(x: Any) -> Any:
        norm = np.sum(w)
        w.assign(x * 2 + 1)
        return norm

    step(np.ones((3, 4)))
    assert_same_bits(w.data, np.full((3, 4), 3.0))
    step(np.ones((3, 4)) * 2)
    assert_same_bits(w.data, np.full((3, 4), 5.0))


@pytest.mark.slow
def test_views_of_parameters_that_lay_backwards() -> None:
    w = Tensor(np.arange(12.0).reshape(3, 4), requires_grad=True)
    w.assign(w.data[::-1])
    expected = w.data[::-1] * 1.5 - 1

    @tg.jit(compiled=True)
    def step() -> None:
        w.assign(w.data[::-1] * 1.5 - 1)

    step()
    assert_same_bits(w.data, expected)
    step()
    assert_same_bits(w.data, expected[::-1] * 1.5 - 1)


@tg.opaque
def smaller(a: Any, b: Any) -> Any:
    """Stand for a function of the user's with a name that loops use too."""
    return a * 100 + b


@pytest.mark.parametrize("name", ["i", "k", "i0", "i3", "njit", "larger", "loop_difference", "out"])
def test_names_that_loops_use_too(name: str) -> None:
    a = RNG.normal(size=(2, 3, 2, 2))
    world: dict[str, Any] = {"np": np}
    exec(f"def function({name}, b):\n    return np.maximum({name}, b[:, :1]) * {name} - b", world)
    function = world["function"]
    assert_same_bits(tg.jit(function, compiled=True)(a, a[:, ::-1]), function(a, a[:, ::-1]))


def test_functions_of_the_user_keep_their_names_apart() -> None:
    def function(x: Any, s: Any, t: Any) -> Any:
        shift = smaller(s, t)
        return np.minimum(x, shift) * 2

    x = np.arange(3.0)
    assert_same_bits(tg.jit(function, compiled=True)(x, 0.01, 0.5), function(x, 0.01, 0.5))


def test_programs_hold_no_arrays_of_the_traced_run() -> None:
    x = np.ones(1000)
    held = weakref.ref(x)
    step = tg.jit(lambda x: np.tanh((x * 2 + 1) * 3 - x) * 2 + 1, compiled=True)
    step(x)
    (call, *_) = (call for call in step.last.program.calls if isinstance(call.fn, Loop))
    values = [
        value for inner in call.fn.calls for value in (inner.out, *inner.args) if isinstance(value, Traced)
    ]
    assert len(values) > 5
    assert all(value.tracing is None and value.example.strides == (0,) for value in values)
    del x
    gc.collect()
    assert held() is None


# Random ones -------------------------------------------------------------------------------------------


@FEW
@given(program=elementwise_programs)
def test_random_elementwise_programs_are_exact(program: Any) -> None:
    assert_random_program_is_exact(program, compiled=True)


@pytest.mark.slow
@FEW
@given(recipe=recipes)
def test_compiled_steps_equal_eager_steps(recipe: Any) -> None:
    assert_captured_equals_eager(recipe, compiled=True)


# Training ----------------------------------------------------------------------------------------------


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


def test_the_number_of_a_step_is_rounded_as_numpy_does_it() -> None:
    class ByStep(nn.optimizers.Optimizer):
        def rule(self, param: Any, grad: Any, state: Any, learning_rate: Any, step: Any) -> Any:
            return param - learning_rate * grad * step, state

    results = []
    for capture in (lambda step: step, tg.jit(compiled=True)):
        w = Tensor(np.ones(3, np.float32), requires_grad=True)
        optimizer = ByStep(1.0)

        def step(w: Tensor = w, optimizer: Any = optimizer) -> Any:
            np.sum(w * 2).backward()
            optimizer.apply([w])

        captured = capture(step)
        captured()
        optimizer.iterations = 2**60 + 2**36  # rounded to float32 by way of float64, it is another number
        captured()
        results.append(w.data)
    assert_same_bits(*results)


def test_arrays_between_calls_are_made_once() -> None:
    W = Tensor(RNG.normal(size=(6, 5)), requires_grad=True, name="W")
    b = Tensor(np.zeros(5), requires_grad=True, name="b")
    sgd = nn.SGD(0.1)

    @tg.jit(compiled=True)
    def step(x: Any) -> Any:
        np.sum(np.square(nn.leaky_relu(x @ W + b) @ W.T)).backward()
        sgd.apply([W, b])

    step(np.asarray(X, float))
    made, body = step.source.split("    def step(")
    assert "np.empty" in made
    assert "np.empty" not in body
    assert any(len(call.fn.outs) > 1 for call in step.last.program.calls if isinstance(call.fn, Loop))


def test_results_belong_to_the_caller() -> None:
    def function(x: Any) -> Any:
        y = x * 2 + 1
        return y, -y, y > 0

    step = tg.jit(function, compiled=True)
    x = RNG.normal(size=(5, 4))
    first = step(x)
    copies = [np.array(part) for part in first]
    step(x + 1)
    for part, kept, expected in zip(first, copies, function(x), strict=True):
        assert_same_bits(part, kept)
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
    assert "loops joined" in str(compiled.report())
    assert "loops joined" not in str(plain.report())
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
    assert len(loops_in(step)) >= 200 / LONGEST


def test_chains_that_meet_become_no_longer_loops() -> None:
    def function(x: Any) -> Any:
        y = z = x
        for _ in range(LONGEST // 2 - 1):
            y, z = y * 0.5 + 1, z * 0.25 - 1
        return y * z

    step = tg.jit(function, compiled=True)
    x = RNG.normal(size=10)
    assert_same_bits(step(x), function(x))
    sizes = [len(call.fn.calls) for call in step.last.program.calls if isinstance(call.fn, Loop)]
    assert sum(sizes) == 4 * (LONGEST // 2 - 1) + 1
    assert max(sizes) <= LONGEST


def test_what_is_read_only_inside_a_loop_has_no_array() -> None:
    def function(x: Any) -> Any:
        y = x + 1
        return y * y - y

    step = tg.jit(function, compiled=True)
    assert_same_bits(step(X), function(X))
    assert step.report().buffers == 0
    assert "        y = x[i" in step.source or "y = x_flat[i]" in step.source  # the user's name
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
    assert tg.jit(decorated, compiled=True) is tg.jit(decorated) is decorated
    assert not tg.jit(decorated, compiled=False).compiled
    with pytest.raises(TypeError, match="jit takes a function"):
        tg.jit(None)
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
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(
        ImportError, match=r'compiled loops need Numba .*pip install "tinygrad-edu\[compile\]"'
    ):
        tg.jit(half, compiled=True)
    model = nn.Sequential([nn.Dense(1, input_dim=2)])
    with pytest.raises(ImportError, match="need Numba"):
        model.compile("sgd", "mse", jit_compile=True)
    tg.jit(half)(X)


def test_a_compiled_model_goes_where_there_is_no_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential([nn.Dense(3, "softmax", input_dim=6)], seed=0)
    model.compile("sgd", "categorical_crossentropy", jit_compile=True)
    model.fit(X, Y, verbose=0)
    saved, expected = pickle.dumps(model), model.predict(X)
    for other in (pickle.loads(saved), copy.deepcopy(model)):
        assert other.jit_compile
        assert other._step.compiled
    monkeypatch.setitem(sys.modules, "numba", None)
    again = pickle.loads(saved)
    assert_same_bits(again.predict(X), expected)
    with pytest.raises(ImportError, match="compiled loops need Numba"):
        again.fit(X, Y, verbose=0)


def test_a_compile_that_fails_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    model = nn.Sequential([nn.Dense(3, "softmax", input_dim=6)], seed=0)
    with pytest.raises(ImportError):
        model.compile("sgd", "categorical_crossentropy", jit_compile=True)
    with pytest.raises(RuntimeError, match="fit needs to know how to train"):
        model.fit(X, Y, verbose=0)


def test_flags_are_true_or_false() -> None:
    model = nn.Sequential([nn.Dense(1, input_dim=2)])
    for flag in ("run_eagerly", "jit_compile"):
        with pytest.raises(TypeError, match=f"{flag} must be True or False, and is 'auto'"):
            model.compile("sgd", "mse", **{flag: "auto"})
    with pytest.raises(TypeError, match="compiled must be True or False, and is 'yes'"):
        tg.jit(half, compiled="yes")


def test_the_step_of_a_model_can_be_read() -> None:
    model = nn.Sequential([nn.Dense(3, "softmax", input_dim=6)], seed=0)
    with pytest.raises(RuntimeError, match="captured_step needs to know how to train"):
        model.captured_step
    model.compile("sgd", "categorical_crossentropy", jit_compile=True)
    model.fit(X, Y, verbose=0)
    assert loops_in(model.captured_step)
    assert "floating-point operations" in str(model.captured_step.report())
    model.compile("sgd", "categorical_crossentropy", run_eagerly=True)
    with pytest.raises(RuntimeError, match="trains call by call"):
        model.captured_step


def test_eagerly_and_compiled_exclude_each_other() -> None:
    model = nn.Sequential([nn.Dense(1, input_dim=2)])
    with pytest.raises(ValueError, match="run_eagerly or jit_compile, not both"):
        model.compile("sgd", "mse", run_eagerly=True, jit_compile=True)
