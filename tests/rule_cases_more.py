"""Recipes for the rest of NumPy, as in rule_cases.py: sorting, moving, products, statistics, polynomials."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from rule_cases import POSITIVE, Case, call, covers, enough, options, reduced, unary

from tinygrad_edu.rules.indexing import set_at
from tinygrad_edu.testing.strategies import arrays, axes, broadcastable, indices, masks, shapes

ONE_AXIS = {"several": False, "none": False}


def apart(draw: Any, shape: Any) -> Any:
    """Draw an array whose elements, and their sizes, are at least 0.2 apart and away from zero."""
    x = draw(arrays(shape, distinct=True))
    signs = np.random.default_rng(draw(st.integers(0, 99))).choice([-1, 1], x.shape)
    return (x - np.min(x, initial=0) + 0.3) * signs


def spaced(draw: Any, n: int, start: float = -1.0) -> Any:
    """Draw a rising array."""
    return start + np.cumsum(draw(arrays((n,), (0.5, 1.0))))


# Elementwise functions -------------------------------------------------------------------------------------

unary(np.sinc, np.i0, domain=(-3.0, 3.0))
unary(np.real, np.imag, np.real_if_close)
covers(np.angle)(lambda draw: call(draw(arrays()), **options(draw, deg=st.booleans())))
covers(np.around)(
    lambda draw: call(
        draw(arrays(domain=((0.09, 0.11), (-0.31, -0.29)))), **options(draw, decimals=st.just(1))
    )
)
covers(np.nan_to_num)(
    lambda draw: call(draw(arrays()), **options(draw, copy=st.just(True), nan=st.just(3.0)))
)


@covers(np.ldexp)
def _(draw: Any) -> Case:
    of_x, of_exponent = draw(broadcastable(2))
    exponents = draw(st.integers(-3, 3)) + np.arange(math.prod(of_exponent)).reshape(of_exponent) % 3
    return call(draw(arrays(of_x)), draw(st.sampled_from([exponents, 2])))


@covers(np.unwrap)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1), ((-0.3, 0.3), (5.0, 5.2))))
    more = {"axis": axes(x.ndim, **ONE_AXIS), "period": st.just(4.0), "discont": st.just(3.5)}
    return call(x, **options(draw, **more))


@covers(np.select)
def _(draw: Any) -> Case:
    n = draw(st.integers(1, 3))
    forms = draw(broadcastable(2 * n + 1))
    conditions = [draw(masks(form)) for form in forms[:n]]
    choices = [draw(st.one_of(arrays(form), st.just(2.0))) for form in forms[n : 2 * n]]
    choices[0] = draw(arrays(forms[n]))
    default = draw(st.one_of(arrays(forms[-1]), st.just(1.5)))
    return call(conditions, choices, default) if draw(st.booleans()) else call(conditions, choices)


@covers(np.piecewise)
def _(draw: Any) -> Case:
    x = draw(arrays())
    conditions = [draw(masks(x.shape)) for _ in range(draw(st.integers(1, 3)))]
    functions: list[Any] = [np.sin, lambda x: x * x, 1.5, lambda x: np.exp(x) * 2][: len(conditions)]
    functions += draw(st.sampled_from([[], [np.cos], [2]]))
    if x.ndim == 1 and x.size and len(conditions) == 1 and draw(st.booleans()):
        return call(x, conditions[0], functions)
    if draw(st.booleans()):
        return call(x, conditions[:1], [lambda x, power, shift=0: x**power + shift], 3, shift=2.0)
    return call(x, conditions, functions)


@covers(np.interp)
def _(draw: Any) -> Case:
    n = draw(st.integers(1, 4))
    xp, fp = spaced(draw, n), draw(arrays((n,)))
    if draw(st.booleans()):
        period = draw(st.sampled_from([5.0, -6.0]))
        x = draw(arrays(domain=(-9.0, 9.0)))
        knots = np.mod(xp, abs(period))
        gaps = np.abs(np.mod(x[..., None], abs(period)) - knots)
        assume(np.all(np.minimum(gaps, abs(period) - gaps) > 0.4))
        assume(np.all(np.diff(np.sort(knots)) > 0.3))
        wraps = np.minimum(np.mod(x, abs(period)), abs(period) - np.mod(x, abs(period)))
        assume(np.all(wraps > 0.4) and np.all(np.minimum(knots, abs(period) - knots) > 0.1))
        return call(x, xp, fp, period=period)
    edges = np.concatenate([[-3.0], xp, [xp[-1] + 2]])
    shape = draw(shapes())
    random = np.random.default_rng(draw(st.integers(0, 999)))
    place = random.integers(0, n + 1, shape)
    x = edges[place] + (edges[place + 1] - edges[place]) * random.uniform(0.4, 0.6, shape)
    ends = draw(st.sampled_from([(), (np.float64(0.5),), (None, np.float64(-0.5)), (1.0, 2)]))
    return call(x, xp, fp, *ends)


# Picking, sorting, choosing --------------------------------------------------------------------------------


@covers(set_at)
def _(draw: Any) -> Case:
    x = draw(arrays())
    index = draw(indices(x.shape)) if x.ndim else ...
    picked = x[index].shape
    form = draw(st.sampled_from([picked, picked[1:], tuple(min(n, 1) for n in picked), ()]))
    return call(x, index, draw(arrays(form)))


@covers(np.take_along_axis)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1, min_side=1)))
    axis = draw(axes(x.ndim, several=False))
    shape = list(x.shape) if axis is not None else [0]
    shape[axis or 0] = draw(st.integers(1, 4))
    n = x.size if axis is None else x.shape[axis]
    if axis is not None and draw(st.booleans()):  # the other axes broadcast
        shape = [k if i == axis % x.ndim else draw(st.sampled_from([1, k])) for i, k in enumerate(shape)]
    places = np.random.default_rng(draw(st.integers(0, 99))).integers(-n, n, shape)
    return call(x, places, axis)


@covers(np.sort)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1), distinct=True))
    how = options(draw, axis=axes(x.ndim, several=False))
    return call(x, **how, **draw(st.sampled_from([{}, {"kind": "mergesort"}, {"stable": True}])))


@covers(np.partition)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1, min_side=1), distinct=True))
    axis = draw(axes(x.ndim, several=False))
    n = x.size if axis is None else x.shape[axis]
    place = st.integers(-n, n - 1)
    return call(x, draw(st.one_of(place, st.lists(place, min_size=1, max_size=2))), axis=axis)


@covers(np.compress)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    axis = draw(axes(x.ndim, several=False))
    n = x.size if axis is None else x.shape[axis]
    condition = draw(masks((draw(st.integers(0, n)),)))
    return (
        call(condition, x, **options(draw, axis=st.just(axis))) if axis is None else call(condition, x, axis)
    )


@covers(np.extract)
def _(draw: Any) -> Case:
    x = draw(arrays())
    return call(draw(masks(x.shape)), x)


@covers(np.choose)
def _(draw: Any) -> Case:
    n = draw(st.integers(1, 3))
    of_index, *forms = draw(broadcastable(n + 1))
    mode = draw(st.sampled_from(["raise", "wrap", "clip"]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    index = random.integers(*((0, n) if mode == "raise" else (-2 * n, 2 * n)), of_index)
    how = {} if mode == "raise" else {"mode": mode}
    if draw(st.booleans()):
        return call(index, draw(arrays((n, *np.broadcast_shapes(*forms)))), **how)
    return call(index, [draw(arrays(form)) for form in forms], **how)


# Reductions and scans --------------------------------------------------------------------------------------


@covers(np.amax, np.amin, np.ptp)
def _(draw: Any) -> Case:
    x = draw(arrays(distinct=True))
    how = options(draw, axis=axes(x.ndim), keepdims=st.booleans())
    assume(reduced(x, how.get("axis")))
    return call(x, **how)


@covers(np.cumprod)
def _(draw: Any) -> Case:
    x = draw(arrays(domain=((-1.5, -0.4), (0.4, 1.5), (0, 0))))
    return call(x, **options(draw, axis=axes(x.ndim, several=False)))


@covers(np.cumulative_sum, np.cumulative_prod)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    how = options(draw, include_initial=st.booleans())
    if x.ndim > 1 or draw(st.booleans()):
        how["axis"] = draw(axes(x.ndim, **ONE_AXIS))
    return call(x, **how)


# Products --------------------------------------------------------------------------------------------------


@covers(np.vecdot, np.linalg.vecdot)
def _(draw: Any) -> Case:
    of_a, of_b = draw(broadcastable(2, max_dims=2))
    n = draw(st.integers(0, 3))
    if draw(st.booleans()):
        return call(draw(arrays((*of_a, n))), draw(arrays((*of_b, n))))
    shape = draw(shapes(1))
    return call(draw(arrays(shape)), draw(arrays(shape)), axis=draw(axes(len(shape), **ONE_AXIS)))


@covers(np.matvec)
def _(draw: Any) -> Case:
    of_a, of_v = draw(broadcastable(2, max_dims=2))
    n, m = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    return call(draw(arrays((*of_a, n, m))), draw(arrays((*of_v, m))))


@covers(np.vecmat)
def _(draw: Any) -> Case:
    of_a, of_v = draw(broadcastable(2, max_dims=2))
    n, m = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    return call(draw(arrays((*of_v, n))), draw(arrays((*of_a, n, m))))


@covers(np.cross)
def _(draw: Any) -> Case:
    of_a, of_b = draw(broadcastable(2, max_dims=2))
    a, b = draw(arrays((*of_a, 3))), draw(arrays((*of_b, 3)))
    if draw(st.booleans()):
        return call(a, b)
    shape = draw(shapes(max_dims=2))
    place = draw(st.integers(0, len(shape)))
    a, b = draw(arrays((*shape, 3))), draw(arrays((*shape[:place], 3, *shape[place:])))
    if draw(st.booleans()):
        return call(np.moveaxis(a, -1, place), b, axis=place)
    return call(a, b, axisb=place, axisc=draw(axes(a.ndim, **ONE_AXIS)))


@covers(np.linalg.cross)
def _(draw: Any) -> Case:
    shape = draw(shapes(max_dims=2))
    place = draw(st.integers(0, len(shape)))
    a, b = (draw(arrays((*shape[:place], 3, *shape[place:]))) for _ in range(2))
    return call(a, b, axis=draw(st.sampled_from([place, place - a.ndim])))


covers(np.kron)(lambda draw: call(draw(arrays(shapes(max_side=2))), draw(arrays(shapes(max_side=2)))))
covers(np.linalg.matmul)(lambda draw: call(draw(arrays((2, 2, 3))), draw(arrays((3, 2)))))
covers(np.linalg.outer)(lambda draw: call(draw(arrays(shapes(1, 1))), draw(arrays(shapes(1, 1)))))
covers(np.linalg.tensordot)(
    lambda draw: call(
        draw(arrays((2, 2, 3))),
        draw(arrays((2, 3))),
        **options(draw, axes=st.sampled_from([2, 0, [[0], [0]]])),
    )
)


@covers(np.convolve, np.correlate)
def _(draw: Any) -> Case:
    a, v = draw(arrays((draw(st.integers(1, 5)),))), draw(arrays((draw(st.integers(1, 5)),)))
    return call(a, v, *draw(st.sampled_from([(), ("full",), ("same",), ("valid",)])))


@covers(np.trace)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(2)))
    first, second = draw(st.permutations(range(x.ndim)))[:2]
    how = {"axis1": first, "axis2": second - x.ndim} if draw(st.booleans()) else {}
    return call(x, **how, **options(draw, offset=st.integers(-2, 2), dtype=st.just(np.float64)))


covers(np.linalg.trace, np.linalg.diagonal)(
    lambda draw: call(draw(arrays(shapes(2))), **options(draw, offset=st.integers(-2, 2)))
)


@covers(np.linalg.multi_dot)
def _(draw: Any) -> Case:
    sides = [draw(st.integers(1, 3)) for _ in range(draw(st.integers(3, 5)))]
    forms = list(itertools.pairwise(sides))
    forms[0] = draw(st.sampled_from([forms[0], forms[0][1:]]))
    forms[-1] = draw(st.sampled_from([forms[-1], forms[-1][:1]]))
    return call([draw(arrays(form)) for form in forms])


# Moving elements -------------------------------------------------------------------------------------------

covers(np.linalg.matrix_transpose)(lambda draw: call(draw(arrays(shapes(2)))))
covers(np.diagflat)(
    lambda draw: call(draw(arrays(shapes(max_dims=2))), **options(draw, k=st.integers(-2, 2)))
)
covers(np.resize)(
    lambda draw: call(draw(arrays()), draw(st.sampled_from([(), 4, (2, 3), (0, 2), (1, 1, 5)])))
)
covers(np.astype)(lambda draw: call(draw(arrays()), draw(st.sampled_from([float, "f8", np.longdouble]))))


@covers(np.lib.stride_tricks.sliding_window_view)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1, min_side=2)))
    if draw(st.booleans()):
        return call(x, tuple(draw(st.integers(1, 2)) for _ in x.shape))
    return call(x, draw(st.integers(1, 2)), axis=draw(axes(x.ndim, **ONE_AXIS)))


def where_to(draw: Any, n: int) -> Any:
    """Draw the places that delete and insert take: a number, several, or a slice."""
    place = st.integers(-n, n - 1) if n else st.just(0)
    several = st.lists(place, max_size=3) if n else st.just([])
    return draw(st.one_of(place, several, several.map(lambda s: np.array(s, int)), st.slices(n)))


@covers(np.delete)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1, min_side=1)))
    axis = draw(axes(x.ndim, several=False))
    n = x.size if axis is None else x.shape[axis]
    places = draw(st.one_of(st.just(where_to(draw, n)), masks((n,))))
    return call(x, places) if axis is None else call(x, places, axis)


@covers(np.insert)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    axis = draw(axes(x.ndim, several=False))
    n = x.size if axis is None else x.shape[axis]
    places = where_to(draw, n)
    count = len(range(*places.indices(n))) if isinstance(places, slice) else np.size(places)
    line = list(x.shape) if axis is not None else [0]
    line[axis or 0] = count
    if isinstance(places, int):  # one place: one value a lane
        del line[axis or 0]
    form = draw(st.sampled_from([(), tuple(line)]))
    return call(x, places, draw(arrays(form)), *([] if axis is None else [axis]))


@covers(np.append)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    axis = draw(axes(x.ndim, several=False))
    if axis is None:
        return call(x, draw(arrays()))
    shape = list(x.shape)
    shape[axis] = draw(st.integers(0, 3))
    return call(x, draw(arrays(tuple(shape))), axis)


@covers(np.rollaxis)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    return call(x, draw(axes(x.ndim, **ONE_AXIS)), **options(draw, start=st.integers(-x.ndim, x.ndim)))


covers(np.broadcast_arrays)(
    lambda draw: call(*(draw(arrays(form)) for form in draw(broadcastable(draw(st.integers(1, 3))))))
)


@covers(np.meshgrid)
def _(draw: Any) -> Case:
    lines = [draw(arrays(shapes(max_dims=1))) for _ in range(draw(st.integers(1, 3)))]
    return call(*lines, **options(draw, sparse=st.booleans(), indexing=st.sampled_from(["xy", "ij"])))


@covers(np.fft.fftshift, np.fft.ifftshift)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    return call(x, **options(draw, axes=axes(x.ndim).filter(lambda axis: axis != ())))


@covers(np.apply_along_axis)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1, min_side=1), distinct=True))
    functions = [np.sum, np.sort, lambda line: line * line, lambda line: np.outer(line, line), len]
    return call(draw(st.sampled_from(functions)), draw(axes(x.ndim, **ONE_AXIS)), x)


@covers(np.apply_over_axes)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    return call(draw(st.sampled_from([np.sum, np.cumsum])), x, draw(axes(x.ndim, none=False)))


@covers(np.unique, np.unique_values)
def _(draw: Any) -> Case:
    return call(draw(arrays(distinct=True)))


@covers(np.trim_zeros)
def _(draw: Any) -> Case:
    # zeros cannot be moved without changing what is trimmed: they come from elsewhere
    x = draw(arrays(shapes(1)))
    mask = draw(masks(x.shape))
    how = options(draw, trim=st.sampled_from(["f", "b", "fb"]), axis=axes(x.ndim))
    return call(x, **how)._replace(function=lambda x, **how: np.trim_zeros(np.where(mask, x, 0), **how))


@covers(np.bincount)
def _(draw: Any) -> Case:
    places = draw(st.lists(st.integers(0, 5), min_size=1, max_size=6))
    weights = draw(arrays((len(places),)))
    return call(np.array(places, int), weights, **options(draw, minlength=st.integers(0, 8)))


# Statistics ------------------------------------------------------------------------------------------------

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


# Polynomials and ranges ------------------------------------------------------------------------------------

COEFFICIENTS = shapes(1, 1, min_side=1, max_side=4)

covers(np.polyval)(lambda draw: call(draw(arrays(COEFFICIENTS)), draw(arrays())))
covers(np.polyadd, np.polysub, np.polymul)(
    lambda draw: call(draw(arrays(COEFFICIENTS)), draw(st.one_of(arrays(COEFFICIENTS), st.just([1.0, 2.0]))))
)
covers(np.polyder)(lambda draw: call(draw(arrays(COEFFICIENTS)), **options(draw, m=st.integers(0, 5))))
covers(np.poly)(lambda draw: call(draw(arrays(shapes(1, 1)))))
covers(np.vander)(
    lambda draw: call(
        draw(arrays(shapes(1, 1))), **options(draw, N=st.integers(0, 4), increasing=st.booleans())
    )
)


@covers(np.polydiv)
def _(draw: Any) -> Case:
    # the first coefficient, which is divided by, is not small; how long the rest is, is a matter of rounding
    args = draw(arrays(COEFFICIENTS)), draw(arrays(COEFFICIENTS, (0.8, 2.0)))
    return Case(args, {}, {"float32": False})


@covers(np.polyint)
def _(draw: Any) -> Case:
    m = draw(st.integers(0, 3))
    p = draw(arrays(COEFFICIENTS))
    if m and draw(st.booleans()):
        return call(p, m, draw(st.sampled_from([draw(arrays((m,))), [1.0] * m, 2.0])))
    return call(p, **options(draw, m=st.just(m)))


@covers(np.polyfit)
def _(draw: Any) -> Case:
    n, degree = draw(st.integers(4, 6)), draw(st.integers(0, 2))
    x = spaced(draw, n, -2.0)
    y = draw(arrays(draw(st.sampled_from([(n,), (n, 2)]))))
    if draw(st.booleans()):
        weights = draw(arrays((n,), (0.5, 1.5)))
        return call(x, y, weights, degree)._replace(function=lambda x, y, w, deg: np.polyfit(x, y, deg, w=w))
    return call(x, y, degree)


def ranges(fn: Any, domain: Any, **more: Any) -> None:
    @covers(fn)
    def _(draw: Any) -> Case:
        of_start, of_stop = draw(broadcastable(2, max_dims=2))
        ends = [draw(arrays(of_start, domain)), draw(arrays(of_stop, domain))]
        ends[1] = draw(st.sampled_from([ends[1], 2.0]))
        n = len(np.broadcast_shapes(of_start, np.shape(ends[1])))
        how = options(draw, endpoint=st.booleans(), axis=st.integers(-n - 1, n), **more)
        return call(*ends, draw(st.integers(0, 4)), **how)


ranges(np.linspace, (-2.0, 2.0), retstep=st.booleans())
ranges(np.logspace, (-1.0, 1.0), base=st.sampled_from([2.0, 10.0]))
ranges(np.geomspace, (0.5, 2.0))
