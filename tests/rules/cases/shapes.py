"""Recipes for functions that move, join, split and repeat elements."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_edu.rules.shapes import astype, pad
from tinygrad_edu.testing.strategies import arrays, axes, broadcastable, masks, shapes

from .base import NUMPY, ONE_AXIS, Case, call, covers, options


@covers(np.reshape)
def _(draw: Any) -> Case:
    x = draw(arrays())
    shape = draw(st.permutations(x.shape).map(tuple))
    choices = [shape, (*shape, 1), x.size] + ([-1, (-1,), (1, -1)] if x.size else [])
    return call(x, draw(st.sampled_from(choices)), **options(draw, order=st.sampled_from("CF")))


covers(np.ravel)(lambda draw: call(draw(arrays()), **options(draw, order=st.sampled_from("CF"))))
covers(np.copy)(lambda draw: call(draw(arrays()), **options(draw, order=st.sampled_from("CFAK"))))
covers(np.atleast_1d, np.atleast_2d, np.atleast_3d)(lambda draw: call(draw(arrays())))
covers(np.matrix_transpose)(lambda draw: call(draw(arrays(shapes(2)))))
covers(np.flipud)(lambda draw: call(draw(arrays(shapes(1)))))
covers(np.fliplr)(lambda draw: call(draw(arrays(shapes(2)))))


# ndarray.astype is always done inside check_gradient; here float64 -> float64
covers(astype)(lambda draw: call(draw(arrays()), draw(st.sampled_from([float, "f8", np.longdouble]))))


covers(np.astype)(lambda draw: call(draw(arrays()), draw(st.sampled_from([float, "f8", np.longdouble]))))


covers(np.linalg.matrix_transpose)(lambda draw: call(draw(arrays(shapes(2)))))


@covers(np.squeeze)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(max_side=2)))
    ones = [i for i, n in enumerate(x.shape) if n == 1]
    choices = [None, tuple(ones), *ones, *(i - x.ndim for i in ones)]
    return call(x, draw(st.sampled_from(choices)))


@covers(np.expand_dims)
def _(draw: Any) -> Case:
    x = draw(arrays())
    return call(x, draw(st.sampled_from([0, -1, x.ndim, (0, 1), (0, -1), ()])))


@covers(np.transpose)
def _(draw: Any) -> Case:
    x = draw(arrays())
    order = draw(st.permutations(range(x.ndim)))
    return call(x, draw(st.sampled_from([None, tuple(order), [i - x.ndim for i in order]])))


@covers(np.swapaxes)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    number = axes(x.ndim, several=False, none=False)
    return call(x, draw(number), draw(number))


@covers(np.moveaxis)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    number = axes(x.ndim, several=False, none=False)
    several = st.lists(number, unique_by=lambda i: i % x.ndim, min_size=x.ndim, max_size=x.ndim)
    count = draw(st.integers(0, x.ndim))
    if draw(st.booleans()):
        return call(x, draw(number), draw(number))
    return call(x, draw(several)[:count], draw(several)[:count])


@covers(np.rollaxis)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    return call(x, draw(axes(x.ndim, **ONE_AXIS)), **options(draw, start=st.integers(-x.ndim, x.ndim)))


@covers(np.flip)
def _(draw: Any) -> Case:
    x = draw(arrays())
    return call(x, **options(draw, axis=axes(x.ndim)))


@covers(np.roll)
def _(draw: Any) -> Case:
    x = draw(arrays())
    axis = draw(axes(x.ndim).filter(lambda axis: axis != ()))
    shift = st.integers(-4, 4)
    if isinstance(axis, tuple) and draw(st.booleans()):
        return call(x, tuple(draw(shift) for _ in axis), axis)
    return call(x, draw(shift), axis)


@covers(np.fft.fftshift, np.fft.ifftshift)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    return call(x, **options(draw, axes=axes(x.ndim).filter(lambda axis: axis != ())))


@covers(np.rot90)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(2)))
    plane = draw(st.permutations(range(x.ndim)))[:2]
    return call(x, **options(draw, k=st.integers(-2, 5), axes=st.just(tuple(plane))))


@covers(np.tile)
def _(draw: Any) -> Case:
    reps = st.one_of(st.integers(0, 3), st.lists(st.integers(0, 2), max_size=3).map(tuple))
    return call(draw(arrays(shapes(max_dims=2))), draw(reps))


@covers(np.repeat)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(max_dims=2)))
    axis = draw(axes(x.ndim, several=False))
    n = x.size if axis is None else x.shape[axis]
    each = st.lists(st.integers(0, 3), min_size=n, max_size=n)
    repeats = draw(st.one_of(st.integers(0, 3), each, each.map(lambda r: np.array(r, int)), st.just([2])))
    return call(x, repeats) if axis is None else call(x, repeats, axis)


covers(np.resize)(
    lambda draw: call(draw(arrays()), draw(st.sampled_from([(), 4, (2, 3), (0, 2), (1, 1, 5)])))
)


@covers(np.broadcast_to)
def _(draw: Any) -> Case:
    small, large = draw(broadcastable(2))
    full = np.broadcast_shapes(small, large)
    return call(draw(arrays(small)), draw(st.sampled_from([full, (2, *full)])))


covers(np.broadcast_arrays)(
    lambda draw: call(*(draw(arrays(form)) for form in draw(broadcastable(draw(st.integers(1, 3))))))
)


@covers(np.meshgrid)
def _(draw: Any) -> Case:
    lines = [draw(arrays(shapes(max_dims=1))) for _ in range(draw(st.integers(1, 3)))]
    return call(*lines, **options(draw, sparse=st.booleans(), indexing=st.sampled_from(["xy", "ij"])))


@covers(np.full)
def _(draw: Any) -> Case:
    small, large = draw(broadcastable(2))
    shape = np.broadcast_shapes(small, large)
    return Case((draw(arrays(small)),), {}, {}, lambda value: np.full(shape, value, like=value + np.zeros(1)))


@covers(np.full_like)
def _(draw: Any) -> Case:
    small, large = draw(broadcastable(2))
    return call(np.zeros(np.broadcast_shapes(small, large)), draw(arrays(small)))


def joined(draw: Any, axis: int | None, ndim: int, most: int = 3) -> list[Any]:
    """Draw arrays that differ in length along one axis only (or in any way, for axis None)."""
    count = draw(st.integers(1, most))
    if axis is None:
        return [draw(arrays()) for _ in range(count)]
    shape = list(draw(shapes(ndim, ndim)))
    found = []
    for _ in range(count):
        shape[axis] = draw(st.integers(0, 3))
        found.append(draw(arrays(tuple(shape))))
    return found


@covers(np.concatenate)
def _(draw: Any) -> Case:
    ndim = draw(st.integers(1, 3))
    axis = draw(axes(ndim, several=False))
    parts = joined(draw, axis, ndim)
    if axis is not None and draw(st.booleans()):  # a plain list among the arrays
        parts[0] = np.ones(parts[0].shape).tolist() if parts[0].size else parts[0]
    container = draw(st.sampled_from([list, tuple]))
    return call(container(parts), **({} if axis == 0 else {"axis": axis}))


@covers(np.stack)
def _(draw: Any) -> Case:
    shape = draw(shapes(max_dims=2))
    parts = [draw(arrays(shape)) for _ in range(draw(st.integers(1, 3)))]
    return call(parts, **options(draw, axis=st.integers(-len(shape) - 1, len(shape))))


covers(np.vstack)(lambda draw: call(joined(draw, 0, draw(st.integers(2, 3)))))
covers(np.dstack)(lambda draw: call(joined(draw, 2, 3)))


@covers(np.hstack)
def _(draw: Any) -> Case:
    ndim = draw(st.integers(1, 3))
    return call(joined(draw, min(ndim - 1, 1), ndim))


@covers(np.column_stack)
def _(draw: Any) -> Case:
    n = draw(st.integers(1, 3))
    return call([draw(arrays(st.sampled_from([(n,), (n, 2), (n, 1)]))) for _ in range(2)])


@covers(np.block)
def _(draw: Any) -> Case:
    p, q, r = (draw(st.integers(1, 2)) for _ in range(3))
    if draw(st.booleans()):
        return call([draw(arrays((p,))), draw(arrays(()))])
    rows = [[(p, q), (p, r)], [(2, q), (2, r)]]
    return call([[draw(arrays(shape)) for shape in row] for row in rows])


@covers(np.append)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    axis = draw(axes(x.ndim, several=False))
    if axis is None:
        return call(x, draw(arrays()))
    shape = list(x.shape)
    shape[axis] = draw(st.integers(0, 3))
    return call(x, draw(arrays(tuple(shape))), axis)


@covers(np.unstack)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1, min_side=1)))
    return call(x, **options(draw, axis=axes(x.ndim, several=False, none=False)))


def cuts(draw: Any, n: int) -> Any:
    """Draw how to split an axis: a number of equal parts, or places (which may lie outside)."""
    return draw(
        st.one_of(
            st.sampled_from([k for k in range(1, max(n, 1) + 1) if n % k == 0]),
            st.lists(st.integers(0, n), max_size=2).map(sorted),
        )
    )


@covers(np.split)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    axis = draw(axes(x.ndim, several=False, none=False))
    return call(x, cuts(draw, x.shape[axis]), **({} if axis == 0 else {"axis": axis}))


@covers(np.array_split)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    axis = draw(axes(x.ndim, several=False, none=False))
    return call(x, draw(st.integers(1, 4)), axis)


def split_along(fn: Any, axis: int, least: int) -> None:
    @covers(fn)
    def _(draw: Any) -> Case:
        x = draw(arrays(shapes(least)))
        return call(x, cuts(draw, x.shape[min(axis, x.ndim - 1)]))


split_along(np.vsplit, 0, 2)
split_along(np.hsplit, 1, 1)
split_along(np.dsplit, 2, 3)


@covers(np.diag)
def _(draw: Any) -> Case:
    return call(draw(arrays(shapes(1, 2))), **options(draw, k=st.integers(-2, 2)))


covers(np.diagflat)(
    lambda draw: call(draw(arrays(shapes(max_dims=2))), **options(draw, k=st.integers(-2, 2)))
)


@covers(np.diagonal)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(2)))
    first, second = draw(st.permutations(range(x.ndim)))[:2]
    how = {"axis1": first, "axis2": second - x.ndim} if draw(st.booleans()) else {}
    return call(x, **options(draw, offset=st.integers(-2, 2)), **how)


covers(np.linalg.diagonal)(
    lambda draw: call(draw(arrays(shapes(2))), **options(draw, offset=st.integers(-2, 2)))
)


covers(np.tril, np.triu)(lambda draw: call(draw(arrays(shapes(1))), **options(draw, k=st.integers(-2, 2))))


@covers(np.pad)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(min_side=1)))
    width = st.integers(0, 4)
    pair = st.tuples(width, width)
    forms = [width, pair, st.lists(pair, min_size=x.ndim, max_size=x.ndim)] if x.ndim else [st.just(())]
    if x.ndim and NUMPY >= "2.4.0":
        forms.append(st.dictionaries(st.integers(-x.ndim, -1), st.one_of(width, pair), max_size=x.ndim))
    copied, computed = (
        ["constant", "edge", "reflect", "symmetric", "wrap"],
        ["mean", "maximum", "minimum", "median"],
    )
    mode = draw(st.sampled_from([*copied, *computed, "linear_ramp"]))
    how: dict[str, Any] = {"constant_values": 3.0} if mode == "constant" and draw(st.booleans()) else {}
    if mode in ("reflect", "symmetric"):
        how = options(draw, reflect_type=st.sampled_from(["even", "odd"]))
    elif mode in computed:
        x = np.reshape(np.random.default_rng(draw(st.integers(0, 99))).permutation(x.size) * 0.3 - 1, x.shape)
        how = options(draw, stat_length=st.sampled_from([1, 2, 9, (2, 1)]))
    elif mode == "linear_ramp":
        how = options(draw, end_values=st.sampled_from([0.0, 2.0, (1.0, -1.0)]))
    if not x.ndim:
        return call(x, 0)
    return call(x, draw(st.one_of(forms)), mode, **how)


covers(pad)(lambda draw: call(draw(arrays((2, 3))), 2, draw(st.sampled_from(["edge", "constant"]))))


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


@covers(np.lib.stride_tricks.sliding_window_view)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1, min_side=2)))
    if draw(st.booleans()):
        return call(x, tuple(draw(st.integers(1, 2)) for _ in x.shape))
    return call(x, draw(st.integers(1, 2)), axis=draw(axes(x.ndim, **ONE_AXIS)))


@covers(np.apply_along_axis)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1, min_side=1), distinct=True))
    functions = [np.sum, np.sort, lambda line: line * line, lambda line: np.outer(line, line), len]
    return call(draw(st.sampled_from(functions)), draw(axes(x.ndim, **ONE_AXIS)), x)


@covers(np.apply_over_axes)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    return call(draw(st.sampled_from([np.sum, np.cumsum])), x, draw(axes(x.ndim, none=False)))
