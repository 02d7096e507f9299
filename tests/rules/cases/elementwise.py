"""Recipes for elementwise functions; a ufunc that is smooth away from zero needs none."""

import math
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tinygrad_edu.rules.elementwise import at_kink
from tinygrad_edu.testing.strategies import AWAY_FROM_ZERO, arrays, axes, broadcastable, masks, shapes

from .base import ONE_AXIS, POSITIVE, Case, call, covers, options, spaced, unary

# where a function is smooth (for its only argument, or for each), if not in AWAY_FROM_ZERO
DOMAINS: dict[Any, tuple[Any, ...]] = {
    np.sqrt: (POSITIVE,),
    np.log: (POSITIVE,),
    np.log2: (POSITIVE,),
    np.log10: (POSITIVE,),
    np.log1p: ((-0.6, 2.0),),
    np.arcsin: ((-0.7, 0.7),),
    np.arccos: ((-0.7, 0.7),),
    np.arctanh: ((-0.7, 0.7),),
    np.arccosh: ((1.4, 3.0),),
    np.tan: ((-1.1, 1.1),),
    np.remainder: (((0.2, 0.8), (-0.8, -0.2)), ((1.0, 2.0), (-2.0, -1.0))),
    np.fmod: (((0.2, 0.8), (-0.8, -0.2)), ((1.0, 2.0), (-2.0, -1.0))),
    np.floor_divide: (((0.2, 0.8), (-0.8, -0.2)), ((1.0, 2.0), (-2.0, -1.0))),
    np.floor: (((0.2, 0.8), (-1.8, -1.2)),),
    np.ceil: (((0.2, 0.8), (-1.8, -1.2)),),
    np.trunc: (((0.2, 0.8), (-1.8, -1.2)),),
    np.fix: (((0.2, 0.8), (-1.8, -1.2)),),
    np.rint: (((-0.3, 0.3), (0.7, 1.3), (-2.3, -1.7)),),
    np.power: (POSITIVE, (-2.0, 2.0)),
    np.float_power: (POSITIVE, (-2.0, 2.0)),
    np.exp: ((-2.0, 2.0),),
    np.spacing: (((0.6, 0.9),),),
    np.modf: (((0.2, 0.8), (-1.8, -1.2)),),
    np.divmod: (((0.2, 0.8), (-0.8, -0.2)), ((1.0, 2.0), (-2.0, -1.0))),
    np.frexp: (((0.6, 0.9), (1.2, 1.8), (-0.9, -0.6)),),
    np.sin: ((-4.0, 4.0),),
    np.cos: ((-4.0, 4.0),),
}
SMALL_STEP = {"step": 1 / 1024}  # where kinks are near and pieces between them straight
TIES = {np.maximum, np.minimum, np.fmax, np.fmin}


@st.composite
def elementwise(draw: Any, count: int, domains: tuple[Any, ...] = (), distinct: bool = False) -> Case:
    """Draw arrays that broadcast together, of the given domains."""
    domains = domains or (AWAY_FROM_ZERO,) * count
    forms = draw(broadcastable(count))
    drawn = [draw(arrays(form, domain)) for form, domain in zip(forms, domains, strict=True)]
    if distinct:  # values of different arguments never tie
        drawn = [draw(arrays(form, distinct=True)) + 0.15 * i for i, form in enumerate(forms)]
        return Case(tuple(drawn), {}, SMALL_STEP)
    return call(*drawn)


unary(np.fix, domain=DOMAINS[np.fix][0])
covers(np.round)(
    lambda draw: call(draw(arrays(domain=((0.09, 0.11), (-0.31, -0.29)))), draw(st.sampled_from([0, 1])))
)


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


@covers(np.where)
def _(draw: Any) -> Case:
    a, b, condition = draw(broadcastable(3))
    chosen = st.one_of(arrays(a), st.just(0.0), st.just(2))
    return call(draw(masks(condition)), draw(chosen), draw(arrays(b)))


@covers(np.clip)
def _(draw: Any) -> Case:
    of_a, of_low, of_high = draw(broadcastable(3))
    a, low = draw(arrays(of_a, distinct=True)), draw(arrays(of_low, (-1.1, -1.0)))
    high = draw(arrays(of_high, (1.0, 1.1)))
    assume(all(np.all(np.abs(a[..., None] - bound.ravel()) > 0.1) for bound in (low, high)))
    form = draw(st.sampled_from(["arrays", "low", "high", "numbers", "reversed", "min", "max", "minmax"]))
    return {
        "arrays": call(a, low, high),
        "low": call(a, low, None),
        "high": call(a, None, high),
        "numbers": call(a, -1.05, 1.05) if np.all(np.abs(np.abs(a) - 1.05) > 0.1) else call(a, None, 9),
        "reversed": call(a, high, low),
        "min": call(a, min=-1.3) if np.all(np.abs(a + 1.3) > 0.1) else call(a, min=-9),
        "max": call(a, max=9.0),
        "minmax": call(a, min=-9, max=9.0),
    }[form]


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


covers(at_kink)(
    lambda draw: call(draw(arrays((3,))), np.ones(3, int), draw(arrays((3,))), draw(arrays((3,))))
)
