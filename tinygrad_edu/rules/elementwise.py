"""Gradient rules for functions that work element by element: the calculus sheet.

Conventions where a derivative does not exist: |x|'(0) = 0, relu'(0) = 0, and a tie in maximum or minimum
shares its gradient equally. Steps such as floor and sign have gradient zero.
"""

import math
from typing import Any

import numpy as np

from . import constant, rule

# arithmetic
rule(np.add, lambda g, y, a, b: g, lambda g, y, a, b: g)
rule(np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g)
rule(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
rule(np.divide, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b)
rule(np.negative, lambda g, y, x: -g)
rule(np.positive, lambda g, y, x: g)
rule(np.absolute, lambda g, y, x: g * np.sign(x))
rule(np.fabs, lambda g, y, x: g * np.sign(x))
rule(np.square, lambda g, y, x: g * 2 * x)
rule(np.reciprocal, lambda g, y, x: -g * y * y)
rule(np.remainder, lambda g, y, a, b: g, lambda g, y, a, b: -g * np.floor_divide(a, b))
rule(np.fmod, lambda g, y, a, b: g, lambda g, y, a, b: -g * np.trunc(a / b))

# powers and roots; x ** 0 is constant, and at x = 0 the exponent is taken to have no influence
for power in (np.power, np.float_power):
    rule(
        power,
        lambda g, y, a, b: g * b * a ** (b - (b != 0)),
        lambda g, y, a, b: g * y * np.log(a + (a == 0)),
    )
rule(np.sqrt, lambda g, y, x: g / (2 * y))
rule(np.cbrt, lambda g, y, x: g / (3 * y * y))

# exponentials and logarithms
rule(np.exp, lambda g, y, x: g * y)
rule(np.exp2, lambda g, y, x: g * y * math.log(2))
rule(np.expm1, lambda g, y, x: g * (y + 1))
rule(np.log, lambda g, y, x: g / x)
rule(np.log2, lambda g, y, x: g / (x * math.log(2)))
rule(np.log10, lambda g, y, x: g / (x * math.log(10)))
rule(np.log1p, lambda g, y, x: g / (x + 1))
rule(np.logaddexp, lambda g, y, a, b: g * np.exp(a - y), lambda g, y, a, b: g * np.exp(b - y))
rule(np.logaddexp2, lambda g, y, a, b: g * np.exp2(a - y), lambda g, y, a, b: g * np.exp2(b - y))

# trigonometry
rule(np.sin, lambda g, y, x: g * np.cos(x))
rule(np.cos, lambda g, y, x: -g * np.sin(x))
rule(np.tan, lambda g, y, x: g * (1 + y * y))
rule(np.arcsin, lambda g, y, x: g / np.sqrt((1 - x) * (1 + x)))
rule(np.arccos, lambda g, y, x: -g / np.sqrt((1 - x) * (1 + x)))
rule(np.arctan, lambda g, y, x: g / (1 + x * x))
rule(np.arctan2, lambda g, y, a, b: g * b / (a * a + b * b), lambda g, y, a, b: -g * a / (a * a + b * b))
rule(np.hypot, lambda g, y, a, b: g * a / y, lambda g, y, a, b: g * b / y)
for to_radians in (np.deg2rad, np.radians):
    rule(to_radians, lambda g, y, x: g * (math.pi / 180))
for to_degrees in (np.rad2deg, np.degrees):
    rule(to_degrees, lambda g, y, x: g * (180 / math.pi))

# hyperbolic functions
rule(np.sinh, lambda g, y, x: g * np.cosh(x))
rule(np.cosh, lambda g, y, x: g * np.sinh(x))
rule(np.tanh, lambda g, y, x: g * (1 - y * y))
rule(np.arcsinh, lambda g, y, x: g / np.sqrt(x * x + 1))
rule(np.arccosh, lambda g, y, x: g / np.sqrt((x - 1) * (x + 1)))
rule(np.arctanh, lambda g, y, x: g / ((1 - x) * (1 + x)))

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


def first(*bounds: Any) -> Any:
    """Return the first bound that was given, of those that np.clip takes by two names."""
    return next((bound for bound in bounds if bound is not None), None)


def above(a: Any, b: Any) -> Any:
    """Return 1 where a > b, 0 where a < b, and a half where they tie; 1 where one is missing."""
    return 1 if a is None or b is None else (1 + np.sign(a - b)) / 2


rule(np.copysign, lambda g, y, a, b: g * np.sign(a) * np.sign(y), lambda g, y, a, b: np.zeros_like(g))

# steps: flat almost everywhere
for step in (np.sign, np.floor, np.ceil, np.rint, np.trunc, np.fix, np.round):
    rule(step, lambda g, y, x, *args, **kwargs: np.zeros_like(g), elementwise=True)
for flat in (np.floor_divide, np.heaviside):
    rule(flat, lambda g, y, a, b: np.zeros_like(g), lambda g, y, a, b: np.zeros_like(g))

# answers that are not real numbers, or that no small change of the input changes
constant(
    *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
    *(np.logical_and, np.logical_or, np.logical_xor, np.logical_not),
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
    *(np.zeros_like, np.ones_like, np.empty_like),
    *(np.shares_memory, np.may_share_memory, np.array_repr, np.array_str, np.array2string),
)
