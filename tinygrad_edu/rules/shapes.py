"""Gradient rules for functions that move elements without computing: reshape, join, split, tile, pad.

Each output element goes back to where it came from. Where no shorter line exists, `rearranges` learns the way
from the function itself: run on the numbers 1, 2, 3, ..., it shows which element went where.
"""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..containers import tree_map
from . import Function, as_array, define, function_name, reads, rule
from .indexing import index_along, put
from .primitive import primitive
from .reductions import winners


def astype(a: Any, dtype: Any) -> Any:
    """Return ``a.astype(dtype)``."""
    return a.astype(dtype)


rule(astype, lambda g, y, a, dtype: g.astype(a.dtype))


def rearranges(*fns: Function) -> None:
    """Register functions whose output holds elements of their first argument, and zeros, rearranged."""
    for fn in fns:
        rule(fn, _rearranged(fn))


def _rearranged(fn: Function) -> Function:
    def vjp(g: Any, y: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
        counter = itertools.count(1)
        origin = fn(tree_map(lambda x: _numbers(np.shape(x), counter), a), *args, **kwargs)
        total = put(np.ravel(g), np.ravel(origin), (next(counter),))  # place 0 collects the zeros' share
        counter = itertools.count(1)
        return tree_map(lambda x: total[_numbers(np.shape(x), counter)], a)

    return vjp


def _numbers(shape: tuple[int, ...], counter: Iterator[int]) -> Any:
    """Return the next whole numbers, in the given shape."""
    return np.fromiter(itertools.islice(counter, math.prod(shape)), int).reshape(shape)


rearranges(np.tile, np.repeat, np.rot90, np.vstack, np.hstack, np.dstack, np.column_stack, np.block)
rearranges(np.diag, np.diagonal, np.tril, np.triu)

rearranges(np.diagflat, np.resize, np.delete, np.linalg.diagonal, np.lib.stride_tricks.sliding_window_view)
rule(
    np.insert,
    lambda g, y, arr, obj, values, axis=None: _rearranged(np.insert)(
        g, y, arr, obj, np.zeros(np.shape(values), int), axis
    ),
    None,
    lambda g, y, arr, obj, values, axis=None: _rearranged(
        lambda v: np.insert(np.zeros(np.shape(arr), int), obj, v, axis)
    )(g, y, values),
)
define(
    np.append,
    lambda arr, values, axis=None: (
        np.concatenate([np.ravel(arr), np.ravel(values)])
        if axis is None
        else np.concatenate([arr, values], axis)
    ),
)
define(np.rollaxis, lambda a, axis, start=0: rollaxis(a, axis, start + a.ndim if start < 0 else start))
define(np.broadcast_arrays, lambda *args, subok=False: broadcast_arrays(args))
define(np.meshgrid, lambda *xi, copy=True, sparse=False, indexing="xy": meshgrid(xi, sparse, indexing))


def rollaxis(a: Any, axis: int, start: int) -> Any:
    """Write numpy.rollaxis, which moves an axis to before another, as moveaxis."""
    return np.moveaxis(a, axis, start - (axis % a.ndim < start))


def broadcast_arrays(args: Any) -> Any:
    """Write numpy.broadcast_arrays as a broadcast_to for each."""
    shape = np.broadcast_shapes(*map(np.shape, args))
    return tuple(np.broadcast_to(arg, shape) for arg in args)


def apply_along_axis(func1d: Function, axis: int, arr: Any, *args: Any, **how: Any) -> Any:
    """Write numpy.apply_along_axis as a call for each line."""
    lines = np.moveaxis(arr, axis, -1)
    found = [func1d(lines[place], *args, **how) for place in np.ndindex(lines.shape[:-1])]
    stacked = np.stack([as_array(y) for y in found])
    result = np.reshape(stacked, lines.shape[:-1] + stacked.shape[1:])
    inner = range(arr.ndim - 1, result.ndim)
    return np.moveaxis(result, list(inner), [axis % arr.ndim + i for i in range(len(inner))])


def apply_over_axes(func: Function, a: Any, axes: Any) -> Any:
    """Write numpy.apply_over_axes as a call for each axis, which it keeps."""
    for axis in np.atleast_1d(np.asarray(axes, int)).tolist():
        found = func(a, axis)
        a = found if np.ndim(found) == np.ndim(a) else np.expand_dims(found, axis)
    return a


define(np.apply_along_axis, apply_along_axis)
define(np.apply_over_axes, apply_over_axes)


def meshgrid(xi: Any, sparse: bool, indexing: str) -> Any:
    """Write numpy.meshgrid as each vector along an axis of its own, repeated along the others."""
    n = len(xi)
    axes = [1, 0, *range(2, n)][:n] if indexing == "xy" and n > 1 else range(n)
    grids = tuple(
        np.reshape(x, [-1 if i == axis else 1 for i in range(n)]) for x, axis in zip(xi, axes, strict=True)
    )
    return grids if sparse else broadcast_arrays(grids)


rule(np.astype, lambda g, y, x, dtype, /, *, copy=True, device=None: g.astype(x.dtype))
rule(np.linalg.matrix_transpose, lambda g, y, x: np.matrix_transpose(g))
rule(np.reshape, lambda g, y, a, shape, order="C", copy=None: np.reshape(g, a.shape, explicit(order)))
rule(np.ravel, lambda g, y, a, order="C": np.reshape(g, a.shape, explicit(order)))
rule(np.squeeze, lambda g, y, a, axis=None: np.reshape(g, a.shape))
rule(np.expand_dims, lambda g, y, a, axis: np.reshape(g, a.shape))
for at_least in (np.atleast_1d, np.atleast_2d, np.atleast_3d):
    rule(at_least, lambda g, y, a: np.reshape(g, a.shape))
rule(np.transpose, lambda g, y, a, axes=None: np.transpose(g, inverse(axes)))
rule(np.matrix_transpose, lambda g, y, x: np.matrix_transpose(g))
rule(np.swapaxes, lambda g, y, a, axis1, axis2: np.swapaxes(g, axis1, axis2))
rule(np.moveaxis, lambda g, y, a, source, destination: np.moveaxis(g, destination, source))
rule(np.flip, lambda g, y, m, axis=None: np.flip(g, axis))
rule(np.flipud, lambda g, y, m: np.flipud(g))
rule(np.fliplr, lambda g, y, m: np.fliplr(g))
rule(np.roll, lambda g, y, a, shift, axis=None: np.roll(g, np.negative(shift), axis))
rule(np.fft.fftshift, lambda g, y, x, axes=None: np.fft.ifftshift(g, axes))
rule(np.fft.ifftshift, lambda g, y, x, axes=None: np.fft.fftshift(g, axes))
rule(np.broadcast_to, lambda g, y, array, shape, subok=False: g, elementwise=True)
rule(np.copy, lambda g, y, a, order="K", subok=False: g)
# without like=, np.full(shape, t) asks t for a plain array, and t refuses
define(np.full, lambda shape, fill_value, dtype=None, order="C", **how: full(shape, fill_value, dtype))
rule(np.full_like, None, lambda g, y, a, fill_value, **how: g, elementwise=True)
rule(np.concatenate, lambda g, y, arrays, axis=0, out=None, **how: split_like(g, arrays, axis))
rule(np.stack, lambda g, y, arrays, axis=0, out=None, **how: list(np.moveaxis(g, axis, 0)))
rule(np.unstack, lambda g, y, x, *, axis=0: np.stack(g, axis))
for split in (np.split, np.array_split):
    rule(split, lambda g, y, ary, sections, axis=0: np.concatenate(g, axis))
rule(np.vsplit, lambda g, y, ary, sections: np.concatenate(g, 0))
rule(np.hsplit, lambda g, y, ary, sections: np.concatenate(g, min(ary.ndim - 1, 1)))
rule(np.dsplit, lambda g, y, ary, sections: np.concatenate(g, 2))


def full(shape: Any, fill_value: Any, dtype: Any) -> Any:
    """Write numpy.full as a broadcast_to."""
    filled = np.broadcast_to(fill_value, shape)
    return filled if dtype is None else filled.astype(dtype)


def explicit(order: str) -> Any:
    """Refuse orders that follow an array's place in memory, which its gradient need not share."""
    if order not in ("C", "F"):
        raise TypeError(
            f"order={order!r} depends on memory layout and has no gradient rule; write order='C' or 'F'"
        )
    return order


def inverse(axes: Any) -> Any:
    """Return the permutation that undoes `axes`."""
    return None if axes is None else np.argsort(np.mod(axes, len(axes)))


@reads("split({g})")
def split_like(g: Any, arrays: Any, axis: int | None) -> list[Any]:
    """Undo concatenate: cut `g` into pieces as long as the arrays were."""
    lengths = [np.size(a) if axis is None else np.shape(a)[axis] for a in arrays]
    ends = np.cumsum(lengths).tolist()
    before = (slice(None),) * (0 if axis is None else axis % g.ndim)
    pieces = [g[(*before, slice(end - n, end))] for end, n in zip(ends, lengths, strict=True)]
    return [np.reshape(piece, np.shape(a)) for piece, a in zip(pieces, arrays, strict=True)]


@reads("unpad({g})")
def unpad(g: Any, array: Any, pad_width: Any, mode: str, how: dict[str, Any]) -> Any:
    """Undo pad: cut the border off, and add it to the elements it was computed from."""
    widths = _widths(pad_width, array.ndim)
    if mode in ("constant", "empty"):
        return g[tuple(slice(before, before + n) for (before, _), n in zip(widths, array.shape, strict=True))]
    if mode in STATISTICS:
        return unpad_statistics(g, array, widths, mode, how)
    if mode == "linear_ramp" or how.get("reflect_type") == "odd":
        return unpad_weighted(g, array, widths, mode, how)
    return _rearranged(np.pad)(g, None, array, pad_width, mode, **how)


def unpad_weighted(g: Any, array: Any, widths: Any, mode: Any, how: dict[str, Any]) -> Any:
    """Undo pad where a border is a weighted sum of elements: pad shows the weights, axis by axis."""
    how = {key: value for key, value in how.items() if key != "end_values"}  # which only shift the sum
    for axis, (n, width) in enumerate(zip(array.shape, widths, strict=True)):
        weights = np.pad(np.eye(n, dtype=g.dtype), (width, (0, 0)), mode, **how)
        g = np.moveaxis(np.tensordot(weights, g, ([0], [axis])), 0, axis)
    return g


# which elements a border is the mean of, for each mode: those equal to one of these
STATISTICS: dict[str, list[Function]] = {
    "mean": [],
    "maximum": [np.max],
    "minimum": [np.min],
    "median": [functools.partial(np.quantile, q=0.5, method=method) for method in ("lower", "higher")],
}


def unpad_statistics(g: Any, array: Any, widths: Any, mode: Any, how: dict[str, Any]) -> Any:
    """Undo pad where a border is the mean, median or extreme of a lane, of which axes before are padded."""
    lengths = np.broadcast_to(how.get("stat_length") or max(array.size, 1), (array.ndim, 2))
    for axis in reversed(range(array.ndim)):
        lanes = np.pad(array, [width if i < axis else (0, 0) for i, width in enumerate(widths)], mode, **how)
        (before, after), n = widths[axis], lanes.shape[axis]
        first, last = slice(None, lengths[axis][0]), slice(-lengths[axis][1], None)
        inner = index_along(axis, slice(before, before + n), g.ndim)
        total = g[inner]
        for width, border, seen in (before, slice(0, before), first), (after, slice(before + n, None), last):
            if width:
                reached = np.sum(g[index_along(axis, border, g.ndim)], axis=axis, keepdims=True)
                place = index_along(axis, seen, g.ndim)
                total = total + put(reached * influence(lanes[place], axis, mode), place, lanes.shape)
        g = total
    return g


def influence(a: Any, axis: int, mode: str) -> Any:
    """Return by how much each element moves the mean, median or extreme of its lane."""
    if mode == "mean":
        return np.full(a.shape, 1 / a.shape[axis])
    shares = [winners(a, f(a, axis=axis, keepdims=True), axis) for f in STATISTICS[mode]]
    return functools.reduce(np.add, shares) / len(shares)


@primitive(lambda g, y, array, pad_width, mode, **how: unpad(g, array, pad_width, mode, how))
def pad(array: Any, pad_width: Any, mode: Any, **how: Any) -> Any:
    """Return ``np.pad(array, pad_width, mode, **how)``."""
    return np.pad(array, pad_width, mode, **how)


def checked_pad(array: Any, pad_width: Any, mode: Any = "constant", **how: Any) -> Any:
    """Write numpy.pad as one call, whose border goes back to the elements that it came from."""
    if not isinstance(mode, str):
        raise TypeError(
            f"np.pad(mode={function_name(mode)}) has no gradient rule: it fills the border in place; "
            "join the border with np.concatenate"
        )
    return pad(array, pad_width, mode, **how)


define(np.pad, checked_pad)


def _widths(pad_width: Any, ndim: int) -> Any:
    """Spell out np.pad's pad_width (number, pair, pairs or a dict of axes) as one pair an axis."""
    if isinstance(pad_width, dict):
        spelled = np.zeros((ndim, 2), int)
        for axis, width in pad_width.items():
            spelled[axis] = width
        return spelled
    return np.broadcast_to(pad_width, (ndim, 2))
