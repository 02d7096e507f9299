"""Gradient rules for functions that reduce or scan an axis: sum, mean, var, std, prod, max, min, cumsum.

A reduction's gradient is spread back over the elements it came from, each weighted by its influence.
"""

import math
from typing import Any

import numpy as np

from . import define, reads, rule
from .elementwise import at_kink, nonzero


@reads("spread({g})")
def spread(g: Any, a: Any, axis: Any, where: Any = True, **_: Any) -> Any:
    """Undo a reduction's loss of axes: repeat `g` along the reduced axes of `a`, zero outside `where`."""
    if axis is not None and g.ndim < a.ndim:
        g = np.expand_dims(g, tuple(i % a.ndim for i in axes_of(axis, a.ndim)))
    return np.broadcast_to(g, a.shape) if where is True else np.broadcast_to(g, a.shape) * where


def count(a: Any, y: Any, axis: Any, where: Any) -> Any:
    """Count the elements that went into each result `y` of a reduction."""
    if where is True:
        n = a.size / max(y.size, 1)
        return np.float32(n) if a.dtype == np.float16 else n  # which ends at 65504
    return np.reshape(np.sum(np.broadcast_to(where, a.shape), axis=axis), y.shape)


def freedom(a: Any, y: Any, axis: Any, ddof: Any, where: Any = True, correction: Any = 0, **_: Any) -> Any:
    """Count the degrees of freedom that a variance divides by."""
    return count(a, y, axis, where) - ddof - correction


@reads()
def deviation(a: Any, axis: Any, where: Any = True, **_: Any) -> Any:
    """Return how far each element lies from the mean."""
    chosen = {} if where is True else {"where": where}  # which other libraries' arrays need not know
    return a - np.mean(a, axis=axis, keepdims=True, **chosen)


def winners(a: Any, y: Any, axis: Any = None, where: Any = True) -> Any:
    """Return each element's share of being the maximum or minimum `y`: ties share, and nan is both."""
    won = ((a == spread(y, a, axis)) | (a != a)) & where
    ties = np.sum(won, axis=axis, keepdims=True, dtype=np.result_type(a.dtype, np.float32))  # not float16
    return won / np.maximum(ties, 1)


@reads("others({a})")
def others(a: Any, axis: Any) -> Any:
    """Return, for each element, the product of all the others along `axis`, without dividing."""
    first = axes_of(axis, a.ndim)
    order = first + tuple(i for i in range(a.ndim) if i not in first)
    front = np.transpose(a, order)
    lanes = np.reshape(front, (math.prod(front.shape[: len(first)]), math.prod(front.shape[len(first) :])))
    return np.transpose(np.reshape(_others_in_column(lanes), front.shape), np.argsort(order))


def _others_in_column(x: Any) -> Any:
    """Pair the rows up, find the product of the other pairs, and multiply by the other of the pair."""
    n, m = x.shape
    if n < 2:
        return np.ones_like(x)
    padded = np.concatenate([x, np.ones_like(x[:1])]) if n % 2 else x
    even, odd = padded[0::2], padded[1::2]
    rest = _others_in_column(even * odd)
    return np.reshape(np.stack([rest * odd, rest * even], axis=1), (n + n % 2, m))[:n]


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """Spell out which axes a reduction reduces."""
    if axis is None or ndim == 0:  # NumPy lets a number have an axis 0
        return tuple(range(ndim))
    return tuple(i % ndim for i in (axis if np.ndim(axis) else (axis,)))


@reads(lambda g, y, a, axis: spread(g / y, a, axis) * deviation(a, axis))
def std_share(g: Any, y: Any, a: Any, axis: Any, **how: Any) -> Any:
    """Return a gradient times the deviation from the mean over the standard deviation: 0 if all are equal.

    Of equal elements, the mean may be rounded and the standard deviation not quite 0: the range tells.
    """
    top, bottom = ({"initial": end, "where": how.get("where", True)} for end in (-np.inf, np.inf))
    if "where" not in how and a.size:
        top = bottom = {}  # which other libraries' arrays need not know
    span = np.max(a, axis=axis, keepdims=True, **top) - np.min(a, axis=axis, keepdims=True, **bottom)
    g = g * np.reshape(span != 0, y.shape) / nonzero(y)
    return at_kink(spread(g, a, axis, **how) * deviation(a, axis, **how), span, a, axis=axis)


# All take the call as NumPy spells it. Only what changes the gradient is used: `initial` just shifts a sum,
# and where it is the maximum, no element is.
rule(
    np.sum,
    lambda g, y, a, axis=None, dtype=None, out=None, keepdims=False, initial=0, where=True: spread(
        g, a, axis, where
    ),
)
rule(
    np.mean,
    lambda g, y, a, axis=None, dtype=None, out=None, keepdims=False, *, where=True: spread(
        g / count(a, y, axis, where), a, axis, where
    ),
)
rule(
    np.var,
    lambda g, y, a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, **how: (
        spread(2 * g / freedom(a, y, axis, ddof, **how), a, axis, **how) * deviation(a, axis, **how)
    ),
)
rule(
    np.std,
    lambda g, y, a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, **how: std_share(
        g / freedom(a, y, axis, ddof, **how), y, a, axis, **how
    ),
)
rule(
    np.prod,
    lambda g, y, a, axis=None, dtype=None, out=None, keepdims=False, initial=1, where=True: (
        spread(g * initial, a, axis, where) * others(a if where is True else np.where(where, a, 1), axis)
    ),
)
for extreme in (np.max, np.min):
    rule(
        extreme,
        lambda g, y, a, axis=None, out=None, keepdims=False, initial=None, where=True: (
            spread(g, a, axis) * winners(a, y, axis, where)
        ),
    )
define(np.amax, np.max)
define(np.amin, np.min)
rule(
    np.cumsum,
    lambda g, y, a, axis=None, dtype=None, out=None: np.reshape(
        np.flip(np.cumsum(np.flip(g, axis or 0), axis or 0), axis or 0), a.shape
    ),
)


def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Write numpy.cumprod as multiplications: of each element with 1, 2, 4, 8, ... before it."""
    a = np.reshape(a, -1) if axis is None else np.moveaxis(np.atleast_1d(a), axis, 0)
    a = a if dtype is None else a.astype(dtype)
    reach = 1
    while reach < len(a):
        a = np.concatenate([a[:reach], a[reach:] * a[:-reach]])
        reach *= 2
    return a if axis is None else np.moveaxis(a, 0, axis)


define(np.cumprod, cumprod)
for scan, whole, neutral in ((np.cumulative_sum, np.cumsum, 0), (np.cumulative_prod, np.cumprod, 1)):
    define(
        scan,
        lambda x, /, *, axis=None, include_initial=False, whole=whole, neutral=neutral, **how: (
            initial(whole(x, axis), neutral, axis) if include_initial else whole(x, axis)
        ),
    )


def initial(scanned: Any, neutral: int, axis: Any) -> Any:
    """Put the neutral element in front of a scan."""
    shape = [1 if i == (axis or 0) % scanned.ndim else n for i, n in enumerate(scanned.shape)]
    return np.concatenate([np.full(shape, neutral, scanned.dtype), scanned], axis or 0)
