"""Long arrays a chunk at a time: the same results, in programs that show it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from programs import (
    OPTIMIZERS,
    assert_captured_equals_eager,
    assert_random_program_is_exact,
    elementwise_programs,
    recipes,
    trained,
)

import tinygrad_edu as tg
from tinygrad_edu import Tensor, nn
from tinygrad_edu.capture import chunks
from tinygrad_edu.capture.homes import LINE

RNG = np.random.default_rng(0)
N = chunks.LONG // 4 + 5  # elements of float32: not a whole number of chunks


@contextmanager
def short_chunks(nbytes: int = 40) -> Iterator[None]:
    """Have arrays of any length cut into chunks of a few elements."""
    with patch.multiple(chunks, NBYTES=nbytes, LONG=0, FEW=1):
        yield


def chunks_in(step: Any) -> list[list[str]]:
    """Return the NumPy calls of each function of a chunk in a program."""
    functions = re.findall(r"    def chunk_of_.*?:\n(.*?)\n\n", step.source, re.S)
    return [re.findall(r"^        (\w+)\(", body, re.M) for body in functions]


def trainer(optimizer: Any) -> tuple[Tensor, Any]:
    w = Tensor(RNG.normal(size=N).astype(np.float32), requires_grad=True, name="w")

    def step(x: Any) -> Any:
        loss = np.vdot(w, x)
        loss.backward()
        optimizer.apply([w])
        return loss

    return w, step


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_long_parameters_are_updated_chunk_by_chunk_to_the_same_bits(make: Any) -> None:
    (w, step), (expected, eager) = trainer(make()), trainer(make())
    expected.assign(w.data)
    captured = tg.jit(step)
    for _ in range(3):
        x = RNG.normal(size=N).astype(np.float32)
        assert captured(x) == eager(x)
        np.testing.assert_array_equal(w.data, expected.data)
    assert chunks_in(captured) or make is OPTIMIZERS[0]  # plain descent makes two calls only


def test_adam_reads_like_its_formula() -> None:
    _, step = trainer(nn.Adam())
    captured = tg.jit(step)
    captured(np.ones(N, np.float32))
    (calls,) = chunks_in(captured)
    assert calls == [
        *("subtract", "multiply", "add", "multiply", "subtract", "multiply", "add"),
        *("multiply", "sqrt", "add", "divide", "subtract"),
    ]
    assert f"for start in range(0, {N}, {chunks.NBYTES // 4}):" in captured.source


def test_short_arrays_are_left_whole() -> None:
    step = tg.jit(lambda x: np.sqrt(x * 2 + 1))
    step(np.ones(N // 2, np.float32))
    assert "for " not in step.source


@pytest.mark.parametrize("shape", [(1_000_000,), (3000, 101), (2, 1_000_000), (1, 1_000_000)])
@pytest.mark.parametrize(("dtype", "step"), [(np.float64, 16384), (np.float32, 32768)])
def test_chunks_fit_the_widest_array_whatever_the_shape(shape: Any, dtype: Any, step: int) -> None:
    captured = tg.jit(lambda x: np.sum((np.sqrt(x * x + 1) > 2 * x) * x))
    x = RNG.normal(size=shape).astype(dtype)
    assert captured(x) == captured.function(x)
    assert re.findall(r"in range\(0, (\d+), (\d+)\)", captured.source) == [(str(x.size), str(step))]


def test_two_calls_are_left_whole() -> None:
    x = RNG.normal(size=1_000_000)
    for step, groups in ((lambda x: np.sum(x * 2 + 1), 0), (lambda x: np.sum(np.sqrt(x * 2 + 1)), 1)):
        captured = tg.jit(step)
        captured(x * x)
        assert len(chunks_in(captured)) == groups


def test_objects_are_moved_as_they_are() -> None:
    w = Tensor(np.array([Fraction(1, 2), Fraction(1, 3)], object))

    def double(x: Any) -> Any:
        w.assign(w + w)
        return x

    tg.jit(double)(1.0)
    assert w.data.tolist() == [Fraction(1), Fraction(2, 3)]


def test_the_sign_of_nan_stays_as_it_was() -> None:
    for shape in ((3000, 333), (3, 700_001), (700_001,)):
        nan = np.full(shape, np.nan, np.float32)
        minus = np.copysign(nan, np.float32(-1))
        captured = tg.jit(lambda a, b: np.signbit((a + b) * 2 - 1))
        assert np.array_equal(captured(nan, minus), captured.function(nan, minus))
        assert chunks_in(captured)


def test_the_source_runs_alone() -> None:
    with short_chunks():
        step = tg.jit(lambda x: np.sum(np.sqrt(x * x + 1) - x))
        x = RNG.normal(size=(50, 3))
        expected = step(x)
    assert chunks_in(step) == [["multiply", "add", "sqrt", "subtract"]]
    world: dict[str, Any] = {}
    exec(step.source, world)
    (again,) = world["program"]()(x)
    assert again == expected


def test_what_is_no_chunk_of_the_same_elements_ends_a_group() -> None:
    def step(x: Any, row: Any) -> Any:
        a = x * 2 + 1  # one group
        b = a + row  # a row for all rows of a
        c = np.abs(b * 3)  # another
        d = c[1:] * 2 + c[:-1]  # views, of which one element is two
        return np.sum(np.square(d.T * 2))  # and in another order of memory

    x, row = RNG.normal(size=(6, 4)), RNG.normal(size=4)
    with short_chunks():
        captured = tg.jit(step)
        assert captured(x, row) == step(x, row)
    assert chunks_in(captured)[:2] == [["multiply", "add"], ["multiply", "absolute"]]


def test_arrays_that_lie_column_by_column_are_left_whole() -> None:
    x = np.asfortranarray(RNG.normal(size=(6, 4)))  # a chunk of rows would jump through all of it
    with short_chunks():
        captured = tg.jit(lambda x: np.sum(np.sqrt(x * x + 1)))
        captured(x)
    assert not chunks_in(captured)


def test_names_of_the_user_do_not_collide() -> None:
    def step(start: Any, chunk: Any, slice: Any, range: Any) -> Any:
        return np.sum((start * chunk + slice) * range)

    arrays = RNG.normal(size=(4, 30))
    with short_chunks():
        captured = tg.jit(step)
        assert captured(*arrays) == step(*arrays)
    assert chunks_in(captured)


@given(program=elementwise_programs)
def test_random_elementwise_programs_are_exact(program: Any) -> None:
    with short_chunks():
        assert_random_program_is_exact(program, compiled=False)


@given(recipe=recipes)
def test_captured_steps_equal_eager_steps(recipe: Any) -> None:
    with short_chunks(16):
        assert_captured_equals_eager(recipe, compiled=False)


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_a_model_trains_to_the_same_bits(make: Any) -> None:
    with short_chunks():
        losses, parameters = trained(make())
    expected_losses, expected = trained(make(), run_eagerly=True)
    assert losses == expected_losses
    for got, wanted in zip(parameters, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


# Where parameters lie -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keep", [lambda a: a, lambda a: a[1:], lambda a: a[1:][::2], lambda a: a.reshape(5, 1)], ids=range(4)
)
def test_what_is_kept_of_a_parameter_stays_as_it_was(keep: Any) -> None:
    w, step = mover()
    kept = []
    for _ in range(6):
        step(np.ones(5))
        array = keep(w.data)
        kept.append((array, array.copy()))
    for array, copy in kept:
        np.testing.assert_array_equal(array, copy)


def test_parameters_begin_where_a_line_of_the_cache_does_and_two_places_take_turns() -> None:
    w, step = mover()
    places = []
    for _ in range(6):
        step(np.ones(5))
        places.append(w.data.ctypes.data)
    assert len(set(places)) == 2
    assert [place % LINE for place in set(places)] == [0, 0]


def mover() -> tuple[Tensor, Any]:
    w, sgd = Tensor(np.zeros(5), requires_grad=True, name="w"), nn.SGD(1.0)

    @tg.jit
    def step(x: Any) -> None:
        np.vdot(w, x).backward()
        sgd.apply([w])

    return w, step
