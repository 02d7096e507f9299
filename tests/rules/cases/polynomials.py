"""Recipes for polynomials and ranges of numbers."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_edu.testing.strategies import arrays, broadcastable, shapes

from .base import Case, call, covers, options, spaced

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
