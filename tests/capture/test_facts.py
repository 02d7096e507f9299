"""Every fact of the sheet: what it says of NumPy's functions is so, and programs make use of it."""

from typing import Any

import numpy as np
import pytest
from programs import RNG, assert_same_bits

import tinygrad_edu as tg
from tinygrad_edu.capture.facts import METHODS, PUT, SET_AT, SHEET, Facts, facts
from tinygrad_edu.rules.indexing import getitem, put, set_at
from tinygrad_edu.rules.shapes import astype

X, Y = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
ARGUMENTS: dict[Any, Any] = {  # further ones, where a function of X needs some
    **dict.fromkeys((np.matmul, np.dot), (Y.T,)),
    **dict.fromkeys((np.vdot, np.extract, np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d), (Y,)),
    **dict.fromkeys((np.reshape, np.resize), ((4, 3),)),
    **dict.fromkeys((np.split, np.array_split, np.repeat, np.tile, np.pad, np.argpartition), (1,)),
    **dict.fromkeys((np.expand_dims, np.rollaxis), (1,)),
    np.lib.stride_tricks.sliding_window_view: ((2, 2),),
    **dict.fromkeys((np.swapaxes, np.moveaxis), (0, 1)),
    **dict.fromkeys((np.shares_memory, np.may_share_memory), (Y,)),
    **dict.fromkeys((np.squeeze, np.delete), (0,)),
    **{astype: (np.float32,), getitem: (slice(1, 3),), np.broadcast_to: ((2, 3, 4),), np.clip: (-0.5, 0.5)},
    **{np.where: (Y, 0.0), np.take: ([0, 2],), np.linspace: (Y, 3), np.full_like: (2.0,)},
    **{np.can_cast: (np.float32,), np.compress: (Y,), np.searchsorted: (0.1,), np.choose: (Y,)},
    **{PUT: (slice(0, 3), (5, 4)), SET_AT: (slice(1, 2), 0.5), np.broadcast_arrays: (Y[:1],)},
}
FIRST: dict[Any, Any] = {  # what takes the place of X, where that does not fit
    **dict.fromkeys((np.concatenate, np.stack), lambda x: [x, x]),
    **{np.squeeze: lambda x: x[:1], np.searchsorted: lambda x: np.sort(x[0]), np.where: lambda x: x > 0},
    **{np.choose: lambda x: (x > 0).astype(int), np.roots: lambda x: x[0], np.bincount: lambda x: x[0]},
    **{np.trim_zeros: lambda x: x[0]},
}
ON_ARRAYS = [fn for fn in SHEET if getattr(fn, "__module__", "") not in ("_operator", "operator")]


def called(fn: Any) -> Any:
    """Return a function of X that calls `fn` on it in some way."""
    first, further = FIRST.get(fn, lambda x: x), ARGUMENTS.get(fn, ())
    if isinstance(fn, np.ufunc) and not further:
        further = [Y] * (fn.nin - 1)
    if fn is np.einsum_path:
        return lambda x: fn("ij,ij", x, x)[1]
    call = {PUT: put, SET_AT: set_at}.get(fn, fn)  # which make one call of them
    return lambda x: call(first(x), *further)


def known(key: str, value: Any = None) -> Any:
    """Have a test for each of NumPy's functions of which something is known."""
    fns = [fn for fn in ON_ARRAYS if getattr(facts(fn), key) and value in (None, getattr(facts(fn), key))]
    return pytest.mark.parametrize("fn", fns, ids=lambda fn: fn.__name__)


def calls(step: Any) -> Any:
    return step.last.program.calls


def test_the_facts_are_those_that_are_tested_here() -> None:
    tested = {"static", "shaped_by", "view", "out", "inside", "keeps_one", "one_type", "symbol"}
    assert {*Facts._fields} == tested | {"result", "method", "loop"}  # loops are tested with the others


@known("static")
def test_what_reads_the_shape_only_is_not_in_the_program(fn: Any) -> None:
    function = called(fn)
    step = tg.jit(lambda x: (x, function(x)))
    for got, expected in zip(step(X), (X, function(X)), strict=True):
        assert np.shape(got) == np.shape(expected)
    assert step.report().calls == 0


@known("shaped_by", "values")
def test_shapes_that_depend_on_values_are_refused(fn: Any) -> None:
    with pytest.raises(tg.CaptureError, match="shape depends on values"):
        tg.jit(called(fn))(np.abs(X))


@known("shaped_by", "arguments")
def test_shapes_that_depend_on_arguments_are_refused_if_these_change(fn: Any) -> None:
    with pytest.raises(tg.CaptureError, match="shape depends on values"):
        tg.jit(lambda x, n: fn(x, n))(X, np.array([2, 3]))
    assert_same_bits(tg.jit(called(fn))(X), called(fn)(X))


@pytest.mark.parametrize(
    "fn",
    [fn for fn in ON_ARRAYS if not facts(fn).static and facts(fn).shaped_by != "values"],
    ids=lambda fn: fn.__name__,
)
def test_captured_it_is_the_same(fn: Any) -> None:
    with np.errstate(all="ignore"):
        function = called(fn)

        def twice(x: Any) -> Any:
            return function(x * 1.5), function(x * 1.5)

        for whole in (function, twice):
            step, expected = tg.jit(whole), whole(X)
            for _ in range(2):
                np.testing.assert_equal(step(X), expected)


@known("view")
def test_views_are_of_the_memory_that_they_look_at(fn: Any) -> None:
    function = called(fn)
    given = X[:1] if fn is np.squeeze else X
    parts = tg.jit(function)(given)
    parts = parts if isinstance(parts, (list, tuple)) else [parts]
    assert any(np.shares_memory(part, given) for part in parts)


@known("out")
def test_results_are_written_into_an_array_that_is_there(fn: Any) -> None:
    function = called(fn)
    step = tg.jit(lambda x: np.exp(function(np.exp(x))))
    assert_same_bits(step(X), np.exp(function(np.exp(X))))
    (call,) = (call for call in calls(step) if call.fn is (np.dot if fn is np.matmul else fn))
    assert call.out in step.last.program.plan.buffer


@known("inside")
def test_what_numpy_calls_inside_is_called_right_away(fn: Any) -> None:
    function = called(fn)
    given = X > 0 if fn in (np.any, np.all) else X
    step = tg.jit(lambda x: function(x))
    assert_same_bits(step(given), function(given))
    inside = facts(fn).inside
    assert inside in [call.fn for call in calls(step)] or inside is np.positive  # which is left out in turn


@known("keeps_one")
def test_reductions_of_one_element_are_left_out(fn: Any) -> None:
    given = np.stack([X[:, :1] > 0, Y[:, :1] > 0]) if fn.__name__.startswith("logical") else X[:, :1]
    step = tg.jit(lambda x: fn.reduce(x, axis=-1))
    assert_same_bits(step(given), fn.reduce(given, axis=-1))
    assert "reduce" not in [call.name for call in calls(step)]


@known("one_type")
def test_constant_numbers_become_arrays(fn: Any) -> None:
    step = tg.jit(lambda x: np.any(fn(np.abs(x), 3.0)))
    assert step(X) == np.any(fn(np.abs(X), 3.0))
    assert "constant = np.array(3.0, np.float64)" in step.source


@known("result")
def test_results_are_called_after_what_they_are(fn: Any) -> None:
    function = called(fn)
    step = tg.jit(lambda x: np.sin(function(np.abs(x))))
    step(X)
    assert f"{facts(fn).result} = " in step.source


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_functions(name: str) -> None:
    fn = METHODS[name]
    if facts(fn).shaped_by == "values":
        return
    first = FIRST.get(fn, lambda x: x)
    step = tg.jit(lambda x: getattr(first(x), name)(*ARGUMENTS.get(fn, ())))
    np.testing.assert_array_equal(step(X), getattr(first(X), name)(*ARGUMENTS.get(fn, ())))


@pytest.mark.parametrize("fn", [fn for fn in SHEET if facts(fn).symbol], ids=lambda fn: fn.__name__)
def test_signs_mean_the_same(fn: Any) -> None:
    symbol, kind = facts(fn).symbol, type(fn)
    one = symbol == "~" or fn.__name__ in ("neg", "pos", "negative")
    numbers: list[Any] = [np.eye(2), np.ones((2, 2))] if symbol == "@" else [7, 2]
    numbers = [np.float64(0.1), np.float32(0.7)] if kind is np.ufunc else numbers
    a, b = numbers
    expected = fn(a) if one else fn(a, b)
    np.testing.assert_array_equal(eval(f"{symbol}a" if one else f"a {symbol} b"), expected, strict=True)
