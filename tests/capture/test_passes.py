"""Passes can be left out one by one, and the results stay the same to the last bit."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import (
    FEW,
    OPTIMIZERS,
    assert_captured_equals_eager,
    assert_random_program_is_exact,
    assert_same_bits,
    elementwise_programs,
    recipes,
    trained,
)

import tinygrad_edu as tg
from tinygrad_edu.capture import chunks, jit, passes

LEFT_OUT = [*((name,) for name in passes.OPTIONAL), tuple(passes.OPTIONAL)]
each_left_out = pytest.mark.parametrize(
    "names", LEFT_OUT, ids=lambda names: names[0] if names[1:] == () else "all"
)


@contextlib.contextmanager
def without(*names: str, nbytes: int = 16) -> Iterator[None]:
    """Have programs made without some passes; with chunks of a few elements, so that there are some."""
    build = functools.partial(passes.build, without=names)
    with patch.multiple(chunks, NBYTES=nbytes, LONG=0, FEW=1), patch.object(jit, "build", build):
        yield


@each_left_out
@given(recipe=recipes)
def test_steps_are_exact_without_a_pass(names: Any, recipe: Any) -> None:
    with without(*names):
        assert_captured_equals_eager(recipe, compiled=False)


@each_left_out
@given(program=elementwise_programs)
def test_elementwise_programs_are_exact_without_a_pass(names: Any, program: Any) -> None:
    with without(*names, nbytes=40):
        assert_random_program_is_exact(program, compiled=False)


@FEW
@given(recipe=recipes, names=st.sets(st.sampled_from(passes.OPTIONAL)))
def test_compiled_steps_are_exact_without_some_passes(names: set[str], recipe: Any) -> None:
    with without(*names):
        assert_captured_equals_eager(recipe, compiled=True)


@each_left_out
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("make", OPTIMIZERS)
def test_a_model_trains_to_the_same_bits_without_a_pass(make: Any, compiled: bool, names: Any) -> None:
    with without(*names):
        losses, parameters = trained(make(), jit_compile=compiled)
    expected_losses, expected = trained(make(), run_eagerly=True)
    assert losses == expected_losses
    for got, wanted in zip(parameters, expected, strict=True):
        assert_same_bits(got, wanted)


def step(x: Any, w: Any, v: Any) -> Any:
    """Make use of every pass."""
    unused = np.exp(x)
    del unused
    row = np.sum(x * 1, axis=0, keepdims=True) + np.exp(w)
    loss = np.vdot(row, row) + np.sum(np.exp(w)) + np.sum(np.square(v))
    loss.backward()
    for t in (w, v):
        t.assign(t - 0.1 * t.grad)
    return loss, +x


def made(*names: str, compiled: bool = False) -> Any:
    w, v = (tg.Tensor(np.ones(4), requires_grad=True, name=name) for name in "wv")
    with without(*names):
        captured = tg.jit(lambda x: step(x, w, v), compiled)
        captured(np.ones((3, 4)))
    return captured


def test_each_pass_is_left_out_and_the_others_stay() -> None:
    for compiled in (False, True):
        every = {name for name, _ in made(compiled=compiled).report().passes}
        assert every == {"traced", *dict(passes.PASSES)} - (set() if compiled else {"loops joined"})
        for name in passes.OPTIONAL:
            shown = {name for name, _ in made(name, compiled=compiled).report().passes}
            assert shown == every - {name}


def test_what_a_pass_does_is_not_done_without_it() -> None:
    source = made().source
    assert "add_reduce" in source
    assert "add_reduce" not in made("algebra").source
    assert made("common subexpressions").source.count("exp(w") > source.count("exp(w")
    assert "exp(x" not in source
    assert "exp(x" in made("dead code").source
    assert source.count(".reshape((4,))") > made("axes of length one").source.count(".reshape((4,))")
    assert "parameters" in source
    assert "parameters" not in made("updates joined").source
    assert made("buffers").report().nbytes < made().report().nbytes
    assert "chunk" in source
    assert "chunk" not in made("chunks").source
    assert "loop_" in made(compiled=True).source
    assert "loop_" not in made("loops joined", compiled=True).source


@pytest.mark.parametrize("name", [*passes.NEEDED, "alchemy"])
def test_other_names_are_refused(name: str) -> None:
    with without(name), pytest.raises(ValueError, match=f"can be left out is algebra, .*; and not '{name}'"):
        tg.jit(lambda x: x + 1)(1.0)
