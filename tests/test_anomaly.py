"""Anomalies: the first call that makes NaN or infinity is named; and numbers that lose a gradient are."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn


def leaf(values: Any) -> tg.Tensor:
    return tg.Tensor(values, requires_grad=True)


@pytest.mark.parametrize(
    ("values", "fn", "says"),
    [
        ([1.0, 0.0], lambda x: np.log(x), r"np.log made -inf, at \[1\] .*likely: the logarithm of 0"),
        ([-1.0, 1.0], lambda x: np.sqrt(x), r"np.sqrt made nan, at \[0\] .*negative"),
        ([1.0, 800.0], lambda x: np.exp(x), r"np.exp made inf, .*argument 1 of shape \(2,\): 1 to 800.*709"),
        ([0.0, 1.0], lambda x: x / x, r"np.divide made nan, .*0/0"),
        ([0.0, 1.0], lambda x: x**-2.0, r"np.power made inf, .*negative power"),
        ([1e200, 1.0], lambda x: np.square(x), r"np.square made inf, .*smaller learning rate"),
        (2.0, lambda x: np.arcsin(x), r"np.arcsin made nan\n.*between -1 and 1"),
    ],
)
def test_the_call_that_makes_nan_or_infinity_is_named(
    values: Any, fn: Callable[[Any], Any], says: str
) -> None:
    for made in (fn, tg.jit(fn), tg.no_grad(fn)):
        with tg.detect_anomaly(), pytest.raises(FloatingPointError, match=f"(?s){says}"):
            made(leaf(values))
    with np.errstate(all="ignore"):
        assert not np.isfinite(fn(leaf(values)).data).all()  # and nobody looks outside


def test_a_captured_function_gives_the_same_message() -> None:
    x = leaf([1.0, 0.0])

    def step() -> Any:
        return np.log(x)

    jitted = tg.jit(step)
    with np.errstate(all="ignore"):
        jitted()  # has its program
    messages = []
    for run in (step, jitted):
        with tg.detect_anomaly(), pytest.raises(FloatingPointError) as caught:
            run()
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert re.search(r"line \d+ of test_anomaly.py: return np.log\(x\)", messages[0])


def test_the_gradient_rule_that_makes_infinity_is_named() -> None:
    x = leaf([1e-310, 1.0])
    with tg.detect_anomaly():
        loss = np.sum(np.log(x))
        with pytest.raises(
            FloatingPointError, match=r"(?s)gradient rule of np.log made inf, at \[0\].*slope"
        ):
            loss.backward()
        with pytest.raises(FloatingPointError, match=r"gradient rule of np\.log"):
            tg.grad(lambda x: np.sum(np.log(x)))(x.data)
    assert x.grad is None


def test_nan_that_comes_in_is_named_and_infinity_of_masks_is_not() -> None:
    x = leaf([1.0, 2.0])
    with tg.detect_anomaly():
        with pytest.raises(
            FloatingPointError, match=r"(?s)np.multiply handed on nan.*argument 2 .*: 1 and NaN"
        ):
            x * np.array([1.0, np.nan])
        masked = np.where(np.array([True, False]), x, -np.inf)
        np.sum(nn.softmax(masked) * x).backward()
    np.testing.assert_allclose(x.grad, [1.0, 0.0])


def test_the_layer_is_named_when_a_model_diverges_and_the_block_ends() -> None:
    x = np.random.default_rng(0).normal(size=(64, 5))
    for eagerly in (False, True):
        model = nn.Sequential([nn.Dense(8, "relu"), nn.Dense(1)], seed=0)
        model.compile(nn.SGD(1e6), "mse", run_eagerly=eagerly)
        with (
            tg.detect_anomaly(),
            pytest.raises(FloatingPointError, match=r"(?s) made (inf|nan).*smaller learning rate"),
        ):
            model.fit(x, x[:, :1] * 100, epochs=20, verbose=0)
    with np.errstate(all="ignore"):
        np.log(leaf([0.0]))


def test_results_are_the_same_where_all_is_well() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 32, 3))
    found = []
    for watched in (False, True):
        model = nn.Sequential([nn.Dense(8, "relu", input_dim=3), nn.Dropout(0.5), nn.Dense(3)], seed=0)
        model.compile("adam", "mse")
        if watched:
            with tg.detect_anomaly():
                model.fit(x, y, epochs=2, verbose=0, seed=0)
        else:
            model.fit(x, y, epochs=2, verbose=0, seed=0)
        found.append(model.get_weights())
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_layer_of_a_gradient_rule_is_named_too() -> None:
    x = leaf([1e-310, 1.0])
    with tg.detect_anomaly():
        with tg.scope("inner"):
            loss = np.sum(np.log(x))
        with pytest.raises(FloatingPointError, match=r"test_anomaly.py, in inner: loss = np"):
            loss.backward()


def test_inside_a_captured_function_it_is_refused() -> None:
    @tg.jit
    def step(x: Any) -> Any:
        with tg.detect_anomaly():
            return np.log(x)

    with pytest.raises(tg.CaptureError, match="put it around the call"):
        step(np.ones(2))


# Training


def test_training_can_end_after_the_batch_that_made_nan() -> None:
    x = np.random.default_rng(0).normal(size=(64, 5))
    for stop in ([nn.TerminateOnNaN()], []):
        batches: list[int] = []
        counts = nn.LambdaCallback(on_train_batch_end=lambda batch, logs, seen=batches: seen.append(batch))
        model = nn.Sequential([nn.Dense(1, input_dim=5)], seed=0)
        model.compile(nn.SGD(1e30), "mse")
        with (
            np.errstate(all="ignore"),
            pytest.warns(RuntimeWarning, match=r"detect_anomaly\(\).*TerminateOnNaN"),
        ):
            history = model.fit(x, x[:, :1], batch_size=8, epochs=3, verbose=0, callbacks=[*stop, counts])
        assert (len(history.epoch), len(batches) < 8) == ((1, True) if stop else (3, False))


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_nan_in_the_data_is_named_by_row_and_column(broken: float) -> None:
    clean = np.random.default_rng(0).normal(size=(20, 3))
    bad = clean.copy()
    bad[7, 2] = bad[9, 0] = broken
    model = nn.Sequential([nn.Dense(3, input_dim=3)], seed=0)
    model.compile("sgd", "mse")
    with pytest.warns(RuntimeWarning, match="^y is .* row 7, column 2"), np.errstate(all="ignore"):
        model.fit(clean, clean, validation_data=(clean, bad), verbose=0)
    says = rf"is {broken} in row 7, column 2 \(and so in 2 of 20 examples\)"
    for x, y, name in ((bad, clean, "x"), (clean, bad, "y")):
        for call in (model.fit, model.evaluate):
            with np.errstate(all="ignore"), pytest.warns(RuntimeWarning) as caught:
                call(x, y, verbose=0)
            first = caught[0]
            assert re.match(f"{name} {says}", str(first.message))
            assert first.filename == __file__
