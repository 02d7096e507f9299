"""Gradient rules for functions that work element by element: the calculus sheet.

Conventions where a derivative does not exist (docs/kinks.md has all): |x|'(0) = 0, the least slope of a line
below; a tie in maximum or minimum shares its gradient equally; steps such as floor and sign have gradient
zero. An infinite slope, as of the root at 0, is infinite.
"""

import math
from typing import Any

import numpy as np

from . import as_array, cast, constant, define, reads, rule
from .indexing import put
from .primitive import primitive

# arithmetic
rule(np.add, lambda g, y, a, b: g, lambda g, y, a, b: g)
rule(np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g)
rule(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
rule(np.divide, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b)
rule(np.negative, lambda g, y, x: -g)
rule(np.positive, lambda g, y, x: g)
rule(np.absolute, lambda g, y, x: at_kink(g * np.sign(x), y, x))
rule(np.fabs, lambda g, y, x: at_kink(g * np.sign(x), y, x))
rule(np.square, lambda g, y, x: g * 2 * x)
rule(np.reciprocal, lambda g, y, x: -g * y * y)
rule(np.remainder, lambda g, y, a, b: g, lambda g, y, a, b: -g * np.floor_divide(a, b))
rule(np.fmod, lambda g, y, a, b: g, lambda g, y, a, b: -g * np.trunc(a / b))


@reads(lambda x: x)
def nonzero(x: Any) -> Any:
    """Replace 0 by 1, to divide by: at the origin, where a length has no slope, it counts as 0."""
    return x + (x == 0)


@reads(lambda share: share)
@primitive(
    lambda g, y, share, length, a, b=0, axis=(): g,
    None,
    lambda g, y, share, length, a, b=0, axis=(): unknown_at_kink(g, length, axis),
    lambda g, y, share, length, a, b=0, axis=(): unknown_at_kink(g, length, axis),
    elementwise=True,
)
def at_kink(share: Any, length: Any, a: Any, b: Any = 0, axis: Any = ()) -> Any:
    """Return `share`, a gradient that stands in for one that does not exist where `length` is 0.

    What stands in must not be differentiated again as if it were the slope: the derivative by `a` and `b`,
    which the length is of, is nan there. (Of |x|² it would come out as 0, and is 2.)
    """
    return share


def unknown_at_kink(g: Any, length: Any, axis: Any) -> Any:
    """Return nan wherever a gradient has come to a kink, for all that one length over `axis` is made of."""
    reached = np.any((g != 0) & np.all(length == 0, axis=axis, keepdims=True), axis=axis, keepdims=True)
    return np.where(np.broadcast_to(reached, g.shape), np.nan, 0)


# powers and roots; x ** 0 is constant; where x is 0, the exponent is taken to have no influence
for power in (np.power, np.float_power):
    rule(
        power,
        lambda g, y, a, b: g * b * power_slope(a, b),
        lambda g, y, a, b: g * y * np.log(nonzero(a)),
    )
rule(np.sqrt, lambda g, y, x: g / (2 * y))
rule(np.cbrt, lambda g, y, x: g / (3 * y * y))


@reads(lambda a, b: a ** (b - 1))
def power_slope(a: Any, b: Any) -> Any:
    """Return a ** (b - 1), but 1 where that is infinite although a ** b is constant: of 0 ** 0."""
    return (a + ((a == 0) & (b == 0))) ** (b - 1)


# exponentials and logarithms
rule(np.exp, lambda g, y, x: g * y)
rule(np.exp2, lambda g, y, x: g * y * math.log(2))
rule(np.expm1, lambda g, y, x: g * (y + 1))
rule(np.log, lambda g, y, x: g / x)
rule(np.log2, lambda g, y, x: g / (x * math.log(2)))
rule(np.log10, lambda g, y, x: g / (x * math.log(10)))
rule(np.log1p, lambda g, y, x: g / (x + 1))
rule(
    np.logaddexp,
    lambda g, y, a, b: g * share(y, a, b, np.exp),
    lambda g, y, a, b: g * share(y, b, a, np.exp),
)
rule(
    np.logaddexp2,
    lambda g, y, a, b: g * share(y, a, b, np.exp2),
    lambda g, y, a, b: g * share(y, b, a, np.exp2),
)


@reads(lambda y, a, b, exp: exp(a - y))
def share(y: Any, a: Any, b: Any, exp: Any) -> Any:
    """Return exp(a) / (exp(a) + exp(b)) without overflow or cancelling, and 0 for a share of nothing."""
    lead = a - np.where(np.isneginf(y), y.dtype.type(0), b)
    small = exp(-size(lead))
    return np.where(lead >= 0, 1, small) / (1 + small)


def size(x: Any) -> Any:
    """Return |x| with slope 1 at 0: right, with all higher ones, where x and -x are taken alike."""
    return np.where(x < 0, -x, x)


# trigonometry
rule(np.sin, lambda g, y, x: g * np.cos(x))
rule(np.cos, lambda g, y, x: -g * np.sin(x))
rule(np.tan, lambda g, y, x: g * (1 + y * y))
rule(np.arcsin, lambda g, y, x: g / np.sqrt((1 - x) * (1 + x)))
rule(np.arccos, lambda g, y, x: -g / np.sqrt((1 - x) * (1 + x)))
rule(np.arctan, lambda g, y, x: g / (1 + x * x))
rule(
    np.arctan2,
    lambda g, y, a, b: over_squares(g * b, a, b),
    lambda g, y, a, b: over_squares(-g * a, a, b),
)
rule(
    np.hypot,
    lambda g, y, a, b: at_kink(g * (a / nonzero(y)), y, a, b),
    lambda g, y, a, b: at_kink(g * (b / nonzero(y)), y, a, b),
)


@reads(lambda share, a, b: share / (a * a + b * b))
def over_squares(share: Any, a: Any, b: Any) -> Any:
    """Divide by a² + b², without the squares, which may be too small or large for a float."""
    length = np.hypot(a, b)
    return at_kink(share / nonzero(length) / nonzero(length), length, a, b)


for to_radians in (np.deg2rad, np.radians):
    rule(to_radians, lambda g, y, x: g * (math.pi / 180))
for to_degrees in (np.rad2deg, np.degrees):
    rule(to_degrees, lambda g, y, x: g * (180 / math.pi))

# hyperbolic functions
rule(np.sinh, lambda g, y, x: g * np.cosh(x))
rule(np.cosh, lambda g, y, x: g * np.sinh(x))
rule(np.tanh, lambda g, y, x: g * tanh_slope(y, x))
rule(np.arcsinh, lambda g, y, x: g / np.hypot(x, 1))
rule(np.arccosh, lambda g, y, x: g / (np.sqrt(x - 1) * np.sqrt(x + 1)))
rule(np.arctanh, lambda g, y, x: g / ((1 - x) * (1 + x)))


@reads(lambda y, x: 1 - y * y)
def tanh_slope(y: Any, x: Any) -> Any:
    """Return 1 - tanh(x)², which is 1 / cosh(x)²: in e^-2|x|, which is not 0 where tanh(x) rounds to 1."""
    small = np.exp(-2 * np.minimum(size(x), 1e4))  # which is 0 then, while twice the largest x would overflow
    return 4 * small / np.square(1 + small)


# choices: the gradient goes to the argument that was chosen, and half to each in a tie
for choose in (np.maximum, np.minimum, np.fmax, np.fmin):
    rule(
        choose,
        lambda g, y, a, b: g * (a == y) - g * (a == b) / 2,
        lambda g, y, a, b: g * (b == y) - g * (a == b) / 2,
    )
rule(
    np.where,
    None,
    lambda g, y, condition, a, b: np.where(condition, g, 0),
    lambda g, y, condition, a, b: np.where(condition, 0, g),
    elementwise=True,
)
rule(
    np.clip,
    lambda g, y, a, a_min=None, a_max=None, out=None, *, min=None, max=None: (
        g * above(a, first(a_min, min)) * above(first(a_max, max), np.maximum(a, first(a_min, min, -np.inf)))
    ),
    lambda g, y, a, a_min, a_max=None, out=None, *, max=None: (
        g * above(a_min, a) * above(first(a_max, max), np.maximum(a, a_min))
    ),
    lambda g, y, a, a_min, a_max, out=None: g * above(a if a_min is None else np.maximum(a, a_min), a_max),
    elementwise=True,
)


@reads()
def first(*bounds: Any) -> Any:
    """Return the first bound that was given, of those that np.clip takes by two names."""
    return next((bound for bound in bounds if bound is not None), None)


def above(a: Any, b: Any) -> Any:
    """Return 1 where a > b, 0 where a < b, and a half where they tie; 1 where one is missing."""
    return 1 if a is None or b is None else (a > b) * 0.5 + (a >= b) * 0.5


rule(np.copysign, lambda g, y, a, b: g * np.sign(a) * np.sign(y), lambda g, y, a, b: np.zeros_like(g))

rule(np.nextafter, lambda g, y, a, b: g, lambda g, y, a, b: np.zeros_like(g))
rule(np.nan_to_num, lambda g, y, x, *args, **how: g * np.isfinite(x), elementwise=True)
rule(np.unwrap, lambda g, y, p, *args, **how: g)
rule(np.ldexp, lambda g, y, x, exponent: np.ldexp(g, exponent))
define(np.select, lambda conditions, choices, default=0: last_true(conditions[::-1], choices[::-1], default))
define(
    np.piecewise, lambda x, conditions, functions, *args, **how: pieces(x, conditions, functions, args, how)
)


def last_true(conditions: Any, choices: Any, default: Any) -> Any:
    """Return, at each place, the choice that belongs to the last condition true there."""
    dtype = np.result_type(*choices, default)
    for condition, choice in zip(conditions, choices, strict=True):
        default = np.where(condition, choice, default)
    return cast(default, dtype)


def pieces(x: Any, conditions: Any, functions: Any, args: Any, how: Any) -> Any:
    """Evaluate each function of a piecewise definition where its condition holds, and nowhere else."""
    conditions = list(conditions) if np.ndim(conditions[0]) == np.ndim(x) else [conditions]
    masks = [np.broadcast_to(np.logical_or(condition, False), np.shape(x)) for condition in conditions]
    if len(functions) == len(masks) + 1:
        masks.append(~np.any(masks, axis=0))
    total = np.zeros_like(x)
    for mask, f in zip(masks, functions, strict=True):
        inner = x[mask]
        piece = f(inner, *args, **how) if callable(f) else np.full_like(inner, f)
        total = np.where(mask, put(piece, mask, np.shape(x)), total)
    return total


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Write numpy.interp as a step from one data point towards the next."""
    x, xp, fp = (cast(np.asarray(v) if np.isscalar(v) else as_array(v), float) for v in (x, xp, fp))
    if period is not None:
        period = abs(period)
        x, xp = np.mod(x, period), np.mod(xp, period)
        order = np.argsort(xp)
        xp, fp = xp[order], fp[order]
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    before = np.clip(np.searchsorted(xp, x, "right") - 1, 0, max(len(xp) - 2, 0))
    after = np.minimum(before + 1, len(xp) - 1)
    x_before, y_before = at_places(xp, before), at_places(fp, before)
    slope = (at_places(fp, after) - y_before) / nonzero(at_places(xp, after) - x_before)
    inner = slope * (x - x_before) + y_before
    low = np.where(x < xp[0], fp[0] if left is None else left, inner)
    return np.where(x > xp[-1], fp[-1] if right is None else right, low)


def at_places(values: Any, places: Any) -> Any:
    """Return ``values[places]``, by a function that any kind of places can take over."""
    return np.reshape(np.take_along_axis(values, np.ravel(places), 0), np.shape(places))


define(np.interp, interp)

# functions with several results: g holds a gradient for each
rule(np.modf, lambda g, y, x: g[0])
rule(np.divmod, lambda g, y, a, b: g[1], lambda g, y, a, b: -g[1] * y[0])
rule(np.frexp, lambda g, y, x: np.ldexp(g[0], -y[1]))

# special functions of NumPy
rule(np.sinc, lambda g, y, x: g * sinc_slope(x))
CIRCLE = np.cos((np.arange(256) + 0.5) * (math.pi / 256))
# I0(x) is the mean of exp(x cos t) around the circle (Abramowitz & Stegun 9.6.16)
rule(np.i0, lambda g, y, x: g * np.mean(CIRCLE * np.exp(x[..., None] * CIRCLE), -1))


def sinc_slope(x: Any) -> Any:
    """Return the derivative of sin(πx)/(πx): by its formula, or near 0, where it cancels, by series."""
    near = np.abs(x) < 0.5
    away = np.where(near, 1.0, x)
    square = np.where(near, x, 0.0) ** 2
    series = 0.0
    for k in range(14, 0, -1):
        series = series * square + 2 * k * (-1) ** k * math.pi ** (2 * k) / math.factorial(2 * k + 1)
    return np.where(near, x * series, (np.cos(math.pi * away) - np.sinc(away)) / away)


# real numbers seen as complex ones
rule(np.real, lambda g, y, val: g)
rule(np.real_if_close, lambda g, y, a, tol=100: g)
rule(np.conjugate, lambda g, y, x: g)
for imaginary in (np.imag, np.angle):
    rule(imaginary, lambda g, y, z, deg=False: np.zeros_like(g))

# steps: flat almost everywhere
for step in (np.sign, np.floor, np.ceil, np.rint, np.trunc, np.fix, np.round, np.around, np.spacing):
    rule(step, lambda g, y, x, *args, **kwargs: np.zeros_like(g), elementwise=True)
for flat in (np.floor_divide, np.heaviside):
    rule(flat, lambda g, y, a, b: np.zeros_like(g), lambda g, y, a, b: np.zeros_like(g))

# answers that are not real numbers, or that no small change of the input changes
constant(
    *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
    *(np.logical_and, np.logical_or, np.logical_xor, np.logical_not),
    *(np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert, np.left_shift, np.right_shift),
    *(np.gcd, np.lcm, np.bitwise_count, np.isnat),
    *(np.isfinite, np.isinf, np.isnan, np.signbit, np.isneginf, np.isposinf, np.isreal, np.iscomplex),
    *(np.isclose, np.allclose, np.array_equal, np.array_equiv),
    *(
        np.argmax,
        np.argmin,
        np.nanargmax,
        np.nanargmin,
        np.argsort,
        np.argpartition,
        np.lexsort,
        np.searchsorted,
    ),
    *(np.any, np.all, np.count_nonzero, np.nonzero, np.flatnonzero, np.argwhere, np.digitize, np.isin),
    *(np.shape, np.ndim, np.size, np.iscomplexobj, np.isrealobj, np.result_type, np.can_cast),
    *(np.min_scalar_type, np.common_type, np.ravel_multi_index, np.unravel_index, np.einsum_path),
    *(np.diag_indices_from, np.tril_indices_from, np.triu_indices_from),
    *(np.zeros_like, np.ones_like, np.empty_like),
    *(np.save, np.savez, np.savez_compressed, np.savetxt),
    *(np.shares_memory, np.may_share_memory, np.array_repr, np.array_str, np.array2string),
)
