"""Rules for statistics: average, median and quantiles, their nan-ignoring forms, covariance, differences.

Most are defined by what they are made of (`define`): the gradient of a median is that of the sorted elements
it averages.
"""

import functools
import math
from typing import Any

import numpy as np

from . import as_array, cast, define, rule
from .indexing import index_along
from .reductions import axes_of, count, spread, winners

# order statistics: sort, then interpolate between neighbours


def quantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
    method: Any = "linear", keepdims: bool = False, *, ignore_nan: bool = False, **unsupported: Any,
) -> Any:  # fmt: skip
    """Write numpy.quantile as a weighted sum of two sorted elements.

    Which two is asked of numpy.quantile itself: its answer on 0, 1, 2, ... is a place between them.
    """
    if unsupported.get("weights") is not None or unsupported.get("interpolation") is not None:
        raise TypeError(
            f"quantiles with {sorted(unsupported)} have no gradient rule; use method= without weights"
        )
    axes = axes_of(axis, np.ndim(a))
    lanes = np.moveaxis(a, axes, list(range(len(axes))))
    together, apart = lanes.shape[: len(axes)], lanes.shape[len(axes) :]
    lanes = np.sort(np.reshape(lanes, (math.prod(together), *apart)), axis=0)
    blank = np.isnan(lanes)
    n = np.sum(~blank, axis=0) if ignore_nan else np.full(apart, len(lanes))
    n = np.asarray(n)
    q = np.asarray(q)
    kind = np.quantile(np.zeros(1, a.dtype), q if q.ndim else q.item(), method=method).dtype
    places = np.zeros(np.shape(q) + n.shape)
    for length in set(n.ravel().tolist()):
        place: Any = np.quantile(np.arange(length), q, method=method) if length else np.zeros(np.shape(q))
        places = np.where(n == length, np.reshape(place, np.shape(q) + (1,) * n.ndim), places)
    flat = np.reshape(places, (math.prod(np.shape(q)), *n.shape))
    low, high = np.floor(flat).astype(int), np.ceil(flat).astype(int)
    below, over = np.take_along_axis(lanes, low, 0), np.take_along_axis(lanes, high, 0)
    part = np.where(high > low, flat - low, 0).astype(kind)
    near = part >= 0.5  # NumPy starts from the nearer of the two
    found = np.where(near, over, below) + (over - below) * (part - near)
    if not ignore_nan:
        found = np.where(np.any(blank, axis=0), np.nan, found)
    kept = np.reshape(found, np.shape(q) + n.shape)
    return np.expand_dims(kept, tuple(np.ndim(q) + i for i in axes)) if keepdims else kept


define(np.quantile, quantile)
define(np.nanquantile, functools.partial(quantile, ignore_nan=True))
define(np.percentile, lambda a, q, *args, **how: quantile(a, np.true_divide(q, 100), *args, **how))
define(
    np.nanpercentile,
    lambda a, q, *args, **how: quantile(a, np.true_divide(q, 100), *args, ignore_nan=True, **how),
)


def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False,
           *, ignore_nan: bool = False) -> Any:  # fmt: skip
    """Write numpy.median as the mean of the two elements in the middle, which may be the same."""
    middle = functools.partial(quantile, a, 0.5, axis, keepdims=keepdims, ignore_nan=ignore_nan)
    return (middle(method="lower") + middle(method="higher")) / 2


define(np.median, median)
define(np.nanmedian, functools.partial(median, ignore_nan=True))
define(
    np.ptp,
    lambda a, axis=None, out=None, keepdims=False: (
        np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)
    ),
)

# averages and their nan-ignoring forms


def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False
) -> Any:
    """Write numpy.average as a weighted sum over the sum of weights."""
    a = as_array(a)
    if weights is None:
        mean = np.mean(a, axis=axis, keepdims=keepdims)
        return (mean, np.full(mean.shape, a.size / max(mean.size, 1), a.dtype)) if returned else mean
    if np.shape(weights) != np.shape(a):
        axes = axes_of(axis, np.ndim(a))
        missing = [i for i in range(np.ndim(a)) if i not in axes]
        weights = np.expand_dims(np.transpose(weights, np.argsort(axes)), missing)
        weights = np.broadcast_to(weights, np.shape(a))
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    mean = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (mean, total) if returned else mean


define(np.average, average)


def known(a: Any, where: Any = True) -> Any:
    """Tell which elements count: those that are not nan."""
    return ~np.isnan(a) & where


rule(
    np.nansum,
    lambda g, y, a, axis=None, dtype=None, out=None, keepdims=False, initial=0, where=True: spread(
        g, a, axis, known(a, where)
    ),
)
rule(
    np.nanmean,
    lambda g, y, a, axis=None, dtype=None, out=None, keepdims=False, *, where=True: spread(
        g / count(a, y, axis, known(a, where)), a, axis, known(a, where)
    ),
)
define(
    np.nanprod,
    lambda a, axis=None, dtype=None, out=None, **how: np.prod(np.where(np.isnan(a), 1, a), axis, **how),
)
define(np.nancumsum, lambda a, axis=None, dtype=None, out=None: np.cumsum(np.where(np.isnan(a), 0, a), axis))
define(
    np.nancumprod, lambda a, axis=None, dtype=None, out=None: np.cumprod(np.where(np.isnan(a), 1, a), axis)
)


define(
    np.nanvar,
    lambda a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True, **how: np.var(
        np.where(np.isnan(a), 0, a), axis=axis, ddof=ddof, keepdims=keepdims, where=known(a, where), **how
    ),
)
define(
    np.nanstd,
    lambda a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True, **how: np.std(
        np.where(np.isnan(a), 0, a), axis=axis, ddof=ddof, keepdims=keepdims, where=known(a, where), **how
    ),
)
for extreme in (np.nanmax, np.nanmin):
    rule(
        extreme,
        lambda g, y, a, axis=None, out=None, keepdims=False, initial=None, where=True: (
            spread(g, a, axis) * winners(a, y, axis, known(a, where))
        ),
    )

# covariance


def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None,
    fweights: Any = None, aweights: Any = None, *, dtype: Any = None,
) -> Any:  # fmt: skip
    """Write numpy.cov as weighted products of deviations from the mean."""
    m = np.atleast_2d(m) if rowvar or np.ndim(m) < 2 else np.transpose(m)
    if y is not None:
        y = np.atleast_2d(y)
        m = np.concatenate([m, y if rowvar or len(y) == 1 else np.transpose(y)])
    m = cast(m, np.result_type(m, np.float64) if dtype is None else dtype)
    ddof = (0 if bias else 1) if ddof is None else ddof
    weights = np.ones(m.shape[1], m.dtype)
    weights = weights * (1 if fweights is None else fweights) * (1 if aweights is None else aweights)
    total = np.sum(weights)
    correction = ddof if aweights is None else ddof * np.sum(weights * aweights) / total
    deviation = m - np.sum(m * weights, axis=1, keepdims=True) / total
    return np.squeeze((deviation * weights) @ deviation.T / np.maximum(total - correction, 0))


def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """Write numpy.corrcoef as the covariance over the standard deviations."""
    c = cov(x, y, rowvar, dtype=dtype)
    if np.ndim(c) == 0:
        return c / c
    deviation = np.sqrt(np.diagonal(c))
    return np.clip(c / deviation[:, None] / deviation[None, :], -1, 1)


define(np.cov, cov)
define(np.corrcoef, corrcoef)

# differences and integrals along an axis


def slice_along(a: Any, axis: int, index: slice) -> Any:
    """Take a slice along one axis."""
    return a[index_along(axis, index, np.ndim(a))]


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Write numpy.diff as the elements minus the ones before them, n times."""
    if n == 0:
        return a
    ends = [None if end is None or end is np._NoValue else end for end in (prepend, append)]
    shape = tuple(1 if i == axis % np.ndim(a) else length for i, length in enumerate(np.shape(a)))
    wide = [end if end is None or np.ndim(end) else np.broadcast_to(end, shape) for end in ends]
    parts = [part for part in (wide[0], a, wide[1]) if part is not None]
    a = np.concatenate(parts, axis) if len(parts) > 1 else a
    for _ in range(n):
        a = slice_along(a, axis, slice(1, None)) - slice_along(a, axis, slice(None, -1))
    return a


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Write numpy.ediff1d as the differences of the flattened elements, with ends."""
    parts = [to_begin, diff(np.ravel(ary)), to_end]
    flat = [np.ravel(part) for part in parts if part is not None]
    return np.concatenate([cast(part, flat[to_begin is not None].dtype) for part in flat])


def gradient(f: Any, *spacing: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Write numpy.gradient as differences of neighbours, weighted by their distances (Quarteroni 2007)."""
    axes = axes_of(axis, np.ndim(f))
    steps = spacing * len(axes) if len(spacing) == 1 else spacing or (1.0,) * len(axes)
    slopes = tuple(_slope(f, ax, step, edge_order) for ax, step in zip(axes, steps, strict=True))
    return slopes if len(axes) > 1 else slopes[0]


def _slope(f: Any, axis: int, step: Any, edge_order: int) -> Any:
    f = np.moveaxis(f, axis, 0)
    n = f.shape[0]
    distances = np.diff(step) if np.ndim(step) else np.full(n - 1, 1.0) * step
    h = np.reshape(distances, (n - 1,) + (1,) * (np.ndim(f) - 1))
    slope = (f[1:] - f[:-1]) / h
    left, right = h[:-1], h[1:]
    inner = (slope[:-1] * right + slope[1:] * left) / (left + right)
    if edge_order == 1:
        first, last = slope[:1], slope[-1:]
    else:
        bend = (slope[1:] - slope[:-1]) / (left + right)
        first, last = slope[:1] - bend[:1] * h[:1], slope[-1:] + bend[-1:] * h[-1:]
    return cast(np.moveaxis(np.concatenate([first, inner, last]), 0, axis), f.dtype)


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """Write numpy.trapezoid as the mean of neighbours times the distance between them."""
    y = as_array(y)
    if x is None:
        d = dx
    elif np.ndim(x) == 1:
        d = np.reshape(np.diff(x), [-1 if i == axis % np.ndim(y) else 1 for i in range(np.ndim(y))])
    else:
        d = np.diff(x, axis=axis)
    neighbours = slice_along(y, axis, slice(1, None)) + slice_along(y, axis, slice(None, -1))
    return np.sum(d * neighbours / 2, axis)


define(np.diff, diff)
define(np.ediff1d, ediff1d)
define(np.gradient, gradient)
define(np.trapezoid, trapezoid)
