"""Rules for polynomials and ranges: polyval, vander, polymul and friends, linspace, logspace, geomspace."""

import math
from typing import Any

import numpy as np

from . import as_array, cast, define
from .shapes import broadcast_arrays


def polyval(p: Any, x: Any) -> Any:
    """Write numpy.polyval by Horner's scheme."""
    x = as_array(x)
    y = np.zeros_like(x)
    for coefficient in p:
        y = y * x + coefficient
    return y


def padded_sum(a: Any, b: Any) -> Any:
    """Add two polynomials, aligned at their constant terms."""
    a, b = np.atleast_1d(a), np.atleast_1d(b)
    n = max(len(a), len(b))
    return np.pad(a, (n - len(a), 0)) + np.pad(b, (n - len(b), 0))


def without_leading_zeros(p: Any) -> Any:
    """Cut the zeros off the front of a polynomial, as numpy.poly1d does."""
    p = np.atleast_1d(p)
    places = np.flatnonzero(p)
    return p[int(places[0]) :] if len(places) else p[:1]


def polydiv(u: Any, v: Any) -> Any:
    """Write numpy.polydiv as long division."""
    rest, v = np.atleast_1d(u) + 0.0, np.atleast_1d(v) + 0.0
    spare, scale = len(rest) - len(v), 1.0 / v[0]
    quotient = []
    for k in range(spare + 1):
        quotient.append(scale * rest[k])
        rest = rest - np.pad(quotient[-1] * v, (k, spare - k))
    zeros = np.zeros(1, np.result_type(rest, v))
    start = 0
    while start < len(rest) - 1 and np.allclose(rest[start], 0, rtol=1e-14):
        start += 1
    return np.stack(quotient) if quotient else zeros, rest[start:]


def polyder(p: Any, m: int = 1) -> Any:
    """Write numpy.polyder: each coefficient times its power."""
    p = as_array(p)
    for _ in range(m):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1)
    return p


def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """Write numpy.polyint: each coefficient over its new power, and a constant."""
    constants = np.broadcast_to(0.0 if k is None else k, (m,))
    for i in range(m):
        p = np.concatenate([p / np.arange(len(p), 0, -1), np.reshape(constants[i], (1,))])
    return p


def poly(roots: Any) -> Any:
    """Write numpy.poly as the product of its linear factors."""
    if np.ndim(roots) != 1:
        raise TypeError("np.poly of a matrix has no gradient rule; of its roots it has")
    product = np.ones_like(roots[:1]) if len(roots) else np.ones(1)
    for root in roots:
        product = np.convolve(product, np.stack([np.ones_like(root), -root]))
    return product


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """Write numpy.vander as powers."""
    x = as_array(x)
    powers = np.arange(len(x) if N is None else N)
    return x[:, None] ** (powers if increasing else powers[::-1])


def polyfit(
    x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False
) -> Any:
    """Write numpy.polyfit as least squares on scaled powers of x."""
    if full or cov:
        raise TypeError("np.polyfit has a gradient rule for its coefficients only: leave full and cov out")
    y = as_array(y)
    lhs = vander(x, deg + 1)
    if w is not None:
        lhs, y = lhs * w[:, None], y * (w if np.ndim(y) == 1 else w[:, None])
    scale = np.sqrt(np.sum(lhs * lhs, 0))
    found = np.linalg.pinv(lhs / scale) @ y
    return found / (scale if np.ndim(found) == 1 else scale[:, None])


def steps(ndim: int, num: int, endpoint: bool) -> Any:
    """Return 0 to 1 in equal steps, along an axis in front of so many others."""
    return np.reshape(np.linspace(0.0, 1.0, num, endpoint), (num,) + (1,) * ndim)


def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False,
             dtype: Any = None, axis: int = 0, *, device: Any = None) -> Any:  # fmt: skip
    """Write numpy.linspace as steps from start towards stop."""
    start, stop = as_array(start), as_array(stop)
    kind = np.result_type(start, stop, 1.0)
    values = start + steps(np.ndim(start - stop), num, endpoint) * (stop - start)
    values = cast(np.moveaxis(values, 0, axis), dtype or kind)
    if not retstep:
        return values
    count = num - 1 if endpoint else num
    return values, cast((stop - start) / count, kind) if count > 0 else math.nan


def logspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None,
             axis: int = 0) -> Any:  # fmt: skip
    """Write numpy.logspace as powers of the base."""
    if np.ndim(base):
        start, stop, base = broadcast_arrays((start, stop, base))
        base = np.expand_dims(base, axis)
    values = np.power(base, linspace(start, stop, num, endpoint, axis=axis))
    return values if dtype is None else cast(values, dtype)


def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    """Write numpy.geomspace as a geometric series."""
    start, stop = as_array(start), as_array(stop)
    kind = np.result_type(start, stop, np.float64)
    ratio = np.divide(stop, start, dtype=kind)
    values = start * ratio ** steps(np.ndim(ratio), num, endpoint)
    return cast(np.moveaxis(values, 0, axis), dtype or kind)


define(np.polyval, polyval)
define(np.polyadd, padded_sum)
define(np.polysub, lambda a1, a2: padded_sum(a1, np.negative(a2)))
define(np.polymul, lambda a1, a2: np.convolve(without_leading_zeros(a1), without_leading_zeros(a2)))
define(np.polydiv, polydiv)
define(np.polyder, polyder)
define(np.polyint, polyint)
define(np.poly, poly)
define(np.vander, vander)
define(np.polyfit, polyfit)
define(np.linspace, linspace)
define(np.logspace, logspace)
define(np.geomspace, geomspace)
