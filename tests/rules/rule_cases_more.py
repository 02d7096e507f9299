"""Recipes for more of NumPy, as in rule_cases.py: odd elementwise functions, sorting, products, moving."""

import itertools
import math
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from rule_cases import Case, call, covers, options, reduced, unary

from tinygrad_edu.rules.indexing import set_at
from tinygrad_edu.testing.strategies import arrays, axes, broadcastable, indices, masks, shapes

ONE_AXIS = {"several": False, "none": False}


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
