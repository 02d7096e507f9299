"""Slopes measured, not derived: gradients from nothing but values of the function.

The central difference of eighth order (B. Fornberg, "Generation of finite difference formulas on arbitrarily
spaced grids", Math. Comp. 51, 1988) reads the function at four places on each side::

    f'(x) = sum over k of  c_k * (f(x + k h) - f(x - k h)) / h,     c = 4/5, -1/5, 4/105, -1/280

Two errors pull the step h in opposite directions. Cutting the Taylor series short costs ``h**8 / 630`` times
the ninth derivative, which for a function that is smooth up to a distance R is about ``64 * (h / R)**8`` of
the slope. Rounding costs about ``2e-16 / h``. With h = 1/128 the first is 4e-13 at R = 1/5 and the second
3e-14, so that an answer has 10 to 13 right digits: enough to expose a rule that is only nearly right.
The function must be smooth within 4 steps of the point: keep kinks and the edges of its domain that far away.

The complex step (W. Squire and G. Trapp, "Using complex variables to estimate derivatives of real functions",
SIAM Review 40, 1998) reads the slope off the imaginary part of ``f(x + ih)``. Nothing is subtracted, so that
h can be tiny and the answer is right to the last digit or two, for functions that take complex numbers and
are analytic (no abs, no max, no comparison).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

STEP = 1 / 128
COEFFICIENTS = (4 / 5, -1 / 5, 4 / 105, -1 / 280)
TINY = 1e-100  # the complex step: far below rounding, far above the smallest number


def numerical_gradient(
    f: Callable[..., Any], xs: Sequence[Any], step: float = STEP, method: str = "central"
) -> list[Any]:
    """Return the gradient of a scalar function ``f(*xs)`` with respect to each of `xs`, in float64.

    Args:
        f: takes the arrays `xs` by position, and returns one number.
        xs: the arrays (or numbers) at which to measure. They are not changed.
        step: the distance h between the places where `f` is read, times ``max(1, |x|)`` for each element x.
        method: "central", or "complex" for analytic functions that take complex numbers.

    Raises:
        ValueError: `f` does not return one number, or `method` is neither.

    >>> import numpy as np
    >>> numerical_gradient(lambda x: np.sum(x ** 3), [np.array([1.0, 2.0])])
    [array([ 3., 12.])]
    >>> numerical_gradient(lambda x: np.exp(x), [0.0], method="complex")
    [array(1.)]
    """
    xs = [np.array(x, float) for x in xs]
    shapes = [np.shape(y) for y in _listed(f(*xs))]
    if shapes != [()]:
        raise ValueError(
            f"numerical_gradient needs a function that returns one number, and got shape {shapes[0]}; "
            "numerical_vjp takes any function"
        )
    return numerical_vjp(f, xs, 1.0, step, method)


def numerical_vjp(
    f: Callable[..., Any], xs: Sequence[Any], cotangent: Any, step: float = STEP, method: str = "central"
) -> list[Any]:
    """Return what reverse mode should: the gradient of ``sum(cotangent * f(*xs))`` for each of `xs`.

    Args:
        f: takes the arrays `xs` by position; returns an array, or a list or tuple of arrays.
        xs: the arrays at which to measure.
        cotangent: the gradient with respect to the result, in its shape; a list where the result is one.
        step: as in `numerical_gradient`.
        method: as in `numerical_gradient`.

    Raises:
        ValueError: `method` is neither "central" nor "complex", or the cotangent has not the result's shape.

    >>> import numpy as np
    >>> numerical_vjp(np.multiply, [np.array([1.0, 2.0]), 3.0], np.array([1.0, 10.0]))
    [array([ 3., 30.]), array(21.)]
    """
    cotangents = _listed(cotangent)
    xs = [np.array(x, float) for x in xs]
    found = [np.zeros_like(x) for x in xs]
    for x, slopes in zip(xs, found, strict=True):
        for place in np.ndindex(x.shape):
            here = x[place]
            parts = _slope(_moved(f, xs, x, place), step * max(1.0, abs(here)), method)
            x[place] = here
            _refuse_other_shapes("cotangent", cotangents, "result", parts)
            slopes[place] = sum(np.sum(g * part) for g, part in zip(cotangents, parts, strict=True))
    return found


def numerical_jvp(
    f: Callable[..., Any],
    xs: Sequence[Any],
    tangents: Sequence[Any],
    step: float = STEP,
    method: str = "central",
) -> Any:
    """Return what forward mode should: the change of ``f(*xs)`` per unit of moving `xs` along `tangents`.

    Args:
        f: takes the arrays `xs` by position; returns an array, or a list or tuple of arrays.
        xs: the arrays at which to measure.
        tangents: the direction to move in, one array for each of `xs`, in its shape.
        step: the longest distance that an element x is moved by in one step, times ``max(1, |x|)``.
        method: as in `numerical_gradient`.

    Raises:
        ValueError: `method` is neither "central" nor "complex", or the tangents have not the shapes of `xs`.

    >>> import numpy as np
    >>> numerical_jvp(np.multiply, [np.array([1.0, 2.0]), 3.0], [np.array([1.0, 0.0]), 1.0])
    array([4., 2.])
    """
    xs = [np.asarray(x, float) for x in xs]
    tangents = [np.asarray(v, float) for v in tangents]
    _refuse_other_shapes("tangents", tangents, "xs", xs)
    speeds = [np.max(np.abs(v) / np.fmax(1, np.abs(x)), initial=0) for x, v in zip(xs, tangents, strict=True)]
    single = True

    def along(t: Any) -> list[Any]:
        nonlocal single
        y = f(*(x + t * v for x, v in zip(xs, tangents, strict=True)))
        single = not isinstance(y, (list, tuple))
        return _listed(y)

    parts = _slope(along, step / (max(speeds, default=0.0) or 1.0), method)
    return parts[0] if single else parts


def _moved(
    f: Callable[..., Any], xs: list[Any], x: Any, place: tuple[int, ...]
) -> Callable[[Any], list[Any]]:
    """Return `f` as a function of how far one element of `x`, one of `xs`, is moved."""
    here = x[place]

    def moved(t: Any) -> list[Any]:
        if isinstance(t, complex):
            shifted = x.astype(complex)
            shifted[place] = here + t
            return _listed(f(*(shifted if other is x else other for other in xs)))
        x[place] = here + t
        return _listed(f(*(np.array(other) for other in xs)))

    return moved


def _slope(f: Callable[[Any], list[Any]], step: float, method: str) -> list[Any]:
    """Differentiate a function of one number, which returns a list of arrays, at zero."""
    if method == "complex":
        return [np.imag(y) / TINY for y in f(1j * TINY)]
    if method != "central":
        raise ValueError(f'method is "central" or "complex", and got {method!r}')
    total: list[Any] = []
    for k, coefficient in enumerate(COEFFICIENTS, 1):
        pairs = zip(f(k * step), f(-k * step), strict=True)
        parts = [(coefficient / step) * (np.asarray(ahead, float) - behind) for ahead, behind in pairs]
        total = [a + b for a, b in zip(total, parts, strict=True)] if total else parts
    return total


def _refuse_other_shapes(what: str, given: list[Any], of: str, arrays: list[Any]) -> None:
    """Refuse what NumPy would broadcast."""
    shapes = [[np.shape(array) for array in side] for side in (given, arrays)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{what} must have the shapes of the {of}, {shapes[1]}, and got {shapes[0]}")


def _listed(value: Any) -> list[Any]:
    """Return the results of a function as a list, also where it is a single one."""
    return list(value) if isinstance(value, (list, tuple)) else [value]
