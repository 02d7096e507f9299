"""Recipes for sums, products, extremes and their running forms."""

import math
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tinygrad_edu.testing.strategies import arrays, axes, masks, shapes

from .base import ONE_AXIS, Case, call, covers, enough, options, reduced


def reduction(*fns: Any, least: int = 0, ddof: bool = False, distinct: bool = False, **more: Any) -> None:
    """Enter sums and the like: axis, keepdims, where, and what else is drawn from `more`."""

    @covers(*fns)
    def _(draw: Any) -> Case:
        x = draw(arrays(distinct=distinct))
        how = options(draw, axis=axes(x.ndim), keepdims=st.booleans(), **more)
        axis = how.get("axis")
        freedom = draw(st.sampled_from([0, 1, 0.5])) if ddof else 0
        if freedom:
            how["ddof"] = freedom
        needed = least + math.ceil(freedom)
        assume(reduced(x, axis) >= needed)
        if draw(st.booleans()):
            how["where"] = enough(draw, x, axis, needed)
        return call(x, **how)


reduction(np.sum, initial=st.sampled_from([0, 2.5]))
reduction(np.prod, initial=st.sampled_from([1, 2.5]))
reduction(np.mean, least=1)
reduction(np.var, least=1, ddof=True)
reduction(np.std, least=2, ddof=True, distinct=True)


@covers(np.max, np.min)
def _(draw: Any) -> Case:
    x = draw(arrays(distinct=True))
    how = options(draw, axis=axes(x.ndim), keepdims=st.booleans())
    if draw(st.booleans()):
        how["where"] = draw(masks(x.shape))
    if "where" in how or draw(st.booleans()):
        how["initial"] = draw(st.sampled_from([0.0, -20.0, 20.0]))
    assume("initial" in how or reduced(x, how.get("axis")))
    return call(x, **how)


@covers(np.amax, np.amin)
def along_axes(draw: Any) -> Case:
    x = draw(arrays(distinct=True))
    how = options(draw, axis=axes(x.ndim), keepdims=st.booleans())
    assume(reduced(x, how.get("axis")))
    return call(x, **how)


@covers(np.cumsum)
def _(draw: Any) -> Case:
    x = draw(arrays())
    return call(x, **options(draw, axis=axes(x.ndim, several=False)))


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
