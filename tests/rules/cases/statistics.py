"""Recipes for averages, quantiles, covariances, functions that skip nan, and differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tinygrad_edu.testing.strategies import arrays, axes, masks, shapes

from .base import ONE_AXIS, POSITIVE, Case, call, covers, enough, options, reduced, spaced
from .reductions import along_axes

METHODS = (
    *("inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen"),
    *("weibull", "linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest"),
)
SHARES = st.one_of(
    st.sampled_from([0, 0.0, 0.3, 0.5, 1.0, 1]),
    st.floats(0, 1),
    st.lists(st.floats(0, 1), max_size=3),
    st.just([[0.1, 0.9]]),
)


def with_nan(draw: Any, fn: Any, x: Any, axis: Any) -> Callable[..., Any]:
    """Return `fn` on its array with some elements replaced by nan, though not all of a lane."""
    mask = draw(masks(x.shape))
    mask = mask & ~np.all(mask, axis, keepdims=True)
    return lambda a, *args, **how: fn(np.where(mask, np.nan, a), *args, **how)


def quantiles(fn: Any, scale: int | None = 1) -> None:
    """Enter a quantile, as a share (scale 1), in percent (100), or of its own (None)."""

    @covers(fn)
    def _(draw: Any) -> Case:
        x = draw(arrays(distinct=True))
        how = options(draw, axis=axes(x.ndim).filter(lambda axis: axis != ()), keepdims=st.booleans())
        assume(reduced(x, how.get("axis")))
        shares = [] if scale is None else [np.multiply(draw(SHARES), scale).tolist()]
        ignores = fn.__name__.startswith("nan")
        # NumPy's nanquantile gives shares of two axes a place of their own if axis is a tuple
        assume(not (ignores and isinstance(how.get("axis"), tuple) and np.ndim(shares or 0) > 2))
        if scale is not None and draw(st.booleans()):
            how["method"] = draw(st.sampled_from(METHODS))
        case = call(x, *shares, **how)
        assume(x.size or not (ignores or isinstance(how.get("axis"), tuple)))  # which NumPy fails at
        return case._replace(function=with_nan(draw, fn, x, how.get("axis"))) if ignores else case


quantiles(np.quantile)
quantiles(np.nanquantile)
quantiles(np.percentile, 100)
quantiles(np.nanpercentile, 100)
quantiles(np.median, None)
quantiles(np.nanmedian, None)


covers(np.ptp)(along_axes)


@covers(np.average)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(min_side=1)))
    how = options(draw, keepdims=st.booleans())
    axis = draw(axes(x.ndim).filter(lambda axis: axis != ()))
    if draw(st.booleans()):
        return call(x, axis, **how, **options(draw, returned=st.booleans()))
    chosen = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    weights = draw(arrays(draw(st.sampled_from([x.shape, tuple(x.shape[i] for i in chosen)])), POSITIVE))
    return call(x, axis, weights, *draw(st.sampled_from([[], [True], [False]])), **how)


def ignoring_nan(*fns: Any, ddof: bool = False, scan: bool = False, extreme: bool = False) -> None:
    """Enter functions that skip nan: of axis, keepdims, where and ddof those that they take."""

    def enter(fn: Any) -> None:
        @covers(fn)
        def _(draw: Any) -> Case:
            x = draw(arrays(distinct=True))
            how = options(draw, axis=axes(x.ndim, several=not scan))
            axis = how.get("axis")
            assume(reduced(x, axis))
            if scan:
                return call(x, **how)._replace(function=with_nan(draw, fn, x, axis))
            how |= options(draw, keepdims=st.booleans())
            if ddof:
                x = draw(arrays((2, 5, 2), distinct=True))
                how["axis"] = axis = draw(st.sampled_from([1, -2, (0, 1), None, (1, 2)]))
                how["ddof"] = draw(st.sampled_from([0, 1, 0.5]))
                masked = np.zeros(x.shape, bool)
                masked[draw(st.integers(0, 1)), draw(st.integers(0, 4))] = True
                if draw(st.booleans()):
                    how["where"] = enough(draw, x, axis, 4)
                return call(x, **how)._replace(
                    function=lambda a, **how: fn(np.where(masked, np.nan, a), **how)
                )
            if draw(st.booleans()):
                how["where"] = np.ones(x.shape, bool) if fn is np.nanmean else draw(masks(x.shape))
            if extreme and ("where" in how or draw(st.booleans())):
                how["initial"] = draw(st.sampled_from([0.0, -20.0, 20.0]))
            return call(x, **how)._replace(function=with_nan(draw, fn, x, axis))

    for fn in fns:
        enter(fn)


ignoring_nan(np.nansum, np.nanmean, np.nanprod)
ignoring_nan(np.nancumsum, np.nancumprod, scan=True)
ignoring_nan(np.nanvar, np.nanstd, ddof=True)
ignoring_nan(np.nanmax, np.nanmin, extreme=True)


def weighted_cov(m: Any, aweights: Any, **how: Any) -> Any:
    return np.cov(m, aweights=aweights, **how)


@covers(np.cov)
def _(draw: Any) -> Case:
    rows, n = draw(st.integers(1, 3)), draw(st.integers(3, 5))
    rowvar = draw(st.booleans())
    m = draw(arrays((rows, n) if rowvar else (n, rows)))
    if rowvar and draw(st.booleans()):
        m = draw(arrays((n,)))
    how = options(draw, bias=st.booleans(), ddof=st.sampled_from([0, 1, 2]))
    how |= {} if rowvar else {"rowvar": False}
    if draw(st.booleans()):
        how["fweights"] = np.array(draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)))
    if draw(st.booleans()):
        weights = draw(arrays((n,), (0.6, 1.4)))
        return call(m, weights, **{**how, "ddof": draw(st.sampled_from([0, 1]))})._replace(
            function=weighted_cov
        )
    return call(m, draw(arrays(m.shape)), **how) if draw(st.booleans()) else call(m, **how)


@covers(np.corrcoef)
def _(draw: Any) -> Case:
    rows, n = draw(st.integers(1, 3)), draw(st.integers(4, 6))
    # noise on a steep line would be fully correlated; these are not
    m = draw(arrays((rows, n), distinct=True))
    m = m - np.mean(m) + 0.5 * np.arange(n) * np.arange(rows)[:, None]
    assume(np.all(np.abs(np.corrcoef(m) - np.eye(rows)) < 0.95) and np.all(np.std(m, 1) > 0.3))
    if draw(st.booleans()):
        return call(m.T, rowvar=False)
    return call(m)


@covers(np.diff)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    axis = draw(axes(x.ndim, **ONE_AXIS))
    n = draw(st.integers(0, 3))
    if draw(st.booleans()):
        return call(x, **options(draw, n=st.just(n), axis=st.just(axis)))
    wide = list(x.shape)
    wide[axis] = draw(st.integers(0, 2))
    end = st.one_of(arrays(tuple(wide)), arrays(()), st.just(1.5))
    prepend, append = draw(end), draw(end)
    if draw(st.booleans()):
        return call(x, n, axis, prepend)
    return call(x, n, axis, prepend, append)


@covers(np.ediff1d)
def _(draw: Any) -> Case:
    end = st.one_of(st.none(), arrays(), st.just(0.0), st.just([1.0, 2.0]))
    return call(draw(arrays()), draw(end), draw(end))


@covers(np.gradient)
def _(draw: Any) -> Case:
    edge_order = draw(st.sampled_from([1, 2]))
    f = draw(arrays(shapes(1, min_side=edge_order + 1, max_side=4)))
    axis = draw(axes(f.ndim).filter(lambda axis: axis != ()))
    chosen = range(f.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    each = [draw(st.sampled_from([2.0, 0.5, "array", "0-d"])) for _ in chosen]
    steps = [
        spaced(draw, f.shape[i]) if step == "array" else np.array(0.7) if step == "0-d" else step
        for i, step in zip(chosen, each, strict=True)
    ]
    spacing = draw(st.sampled_from([[], [2.0], [np.array(0.7)], steps]))
    how = options(draw, edge_order=st.just(edge_order))
    return call(f, *spacing, **how, **({} if axis is None else {"axis": axis}))


@covers(np.trapezoid)
def _(draw: Any) -> Case:
    y = draw(arrays(shapes(1)))
    axis = draw(axes(y.ndim, **ONE_AXIS))
    line = draw(arrays((y.shape[axis],)))
    x = draw(st.sampled_from([None, line, draw(arrays(y.shape))]))
    if draw(st.booleans()):
        return call(y, x, draw(st.sampled_from([0.5, np.array(0.5)])), axis)
    return call(y, x, axis=axis)
