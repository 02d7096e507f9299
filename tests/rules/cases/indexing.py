"""Recipes for picking, sorting and choosing elements."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_edu.recording import pick
from tinygrad_edu.rules.indexing import getitem, put, set_at
from tinygrad_edu.testing.strategies import arrays, axes, broadcastable, indices, masks, shapes

from .base import NUMPY, Case, call, covers, options


@covers(getitem)
def _(draw: Any) -> Case:
    x = draw(arrays())
    return call(x, draw(indices(x.shape)))


@covers(put)
def _(draw: Any) -> Case:
    shape = draw(shapes())
    index = draw(indices(shape))
    return call(draw(arrays(np.zeros(shape)[index].shape)), index, shape)


@covers(set_at)
def _(draw: Any) -> Case:
    x = draw(arrays())
    index = draw(indices(x.shape)) if x.ndim else ...
    picked = x[index].shape
    form = draw(st.sampled_from([picked, picked[1:], tuple(min(n, 1) for n in picked), ()]))
    return call(x, index, draw(arrays(form)))


@covers(pick)  # recorded for each result of a function with several
def _(draw: Any) -> Case:
    case = call(draw(arrays((4, 2))), draw(st.integers(0, 1)))
    return case._replace(function=lambda x, index: np.split(x, [1])[index])


@covers(np.take)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1, min_side=1)))
    axis = draw(axes(x.ndim, several=False))
    n = x.size if axis is None else x.shape[axis]
    mode = draw(st.sampled_from(["raise", "wrap", "clip"]))
    numbers = st.integers(-n, n - 1) if mode == "raise" else st.integers(-2 * n, 2 * n)
    places = draw(st.one_of(numbers, st.lists(numbers, min_size=1, max_size=4)))
    if isinstance(places, list) and draw(st.booleans()):
        places = np.array(places)[:, None]
    return call(x, places, axis=axis, **({} if mode == "raise" else {"mode": mode}))


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


@covers(np.unique, np.unique_values)
def _(draw: Any) -> Case:
    return call(draw(arrays(distinct=True)))


@covers(np.trim_zeros)
def _(draw: Any) -> Case:
    # zeros cannot be moved without changing what is trimmed: they come from elsewhere
    x = draw(arrays(shapes(1)))
    mask = draw(masks(x.shape))
    axis = axes(x.ndim, several=NUMPY >= "2.4.0")
    how = options(draw, trim=st.sampled_from(["f", "b", "fb"]), axis=axis)
    return call(x, **how)._replace(function=lambda x, **how: np.trim_zeros(np.where(mask, x, 0), **how))


@covers(np.bincount)
def _(draw: Any) -> Case:
    places = draw(st.lists(st.integers(0, 5), min_size=1, max_size=6))
    weights = draw(arrays((len(places),)))
    return call(np.array(places, int), weights, **options(draw, minlength=st.integers(0, 8)))


@covers(np.ix_)
def _(draw: Any) -> Case:
    return call(*(draw(arrays((n,))) for n in draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))))
