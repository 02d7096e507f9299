"""SciPy's special functions on Tensors: `scipy.special`, whole, under a name of ours.

SciPy's ufuncs (``scipy.special.erf``) take Tensors as they are, and are handed on from here. Its functions
written in Python turn their arguments into plain arrays first, which would drop the gradient; the three that
neural networks need, `logsumexp`, `softmax` and `log_softmax`, are here with SciPy's arguments and
meanings::

    from tinygrad_edu.special import erf, logsumexp
"""

from typing import Any

import numpy as np

from .rules import is_differentiable, reads
from .rules.elementwise import nonzero
from .rules.primitive import primitive
from .tensor import Tensor

__all__ = ["log_softmax", "logsumexp", "softmax"]


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False) -> Any:
    """Return ``log(sum(b * exp(a)))`` over an axis, several or all, without overflow.

    Of nothing but minus infinities it is minus infinity, and its gradient is 0.

    Args:
        a: an array or Tensor.
        axis: the axes to sum over; all by default.
        b: factors, which broadcast with `a`; 1 by default. Where the sum is negative, the result is nan.
        keepdims: whether the axes stay, with length one.

    Source: Blanchard, Higham & Higham, "Accurately computing the log-sum-exp and softmax functions", 2021.

    >>> float(logsumexp(Tensor([1000.0, 1000.0])).data.round(4))
    1000.6931
    """
    a = _floats(a)
    if b is not None:
        a, b = np.broadcast_arrays(a, b)
        a = np.where(b == 0, -np.inf, a)
    top = _top(a, axis)
    nothing = np.isneginf(top)
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    powers = np.exp(a - top)
    if b is None:  # the largest powers are 1; less 1 in all, so that the others are not rounded away
        largest = powers >= 1
        ones = largest / nonzero(np.sum(largest, axis=axis, keepdims=True, dtype=powers.dtype))
        logs = np.log1p(np.sum(powers - ones, axis=axis, keepdims=True))
    else:
        with np.errstate(divide="ignore", invalid="ignore"):  # terms may cancel, or be negative
            logs = np.log(np.sum(b * powers, axis=axis, keepdims=True) + nothing)
    total = np.where(nothing, -np.inf, logs + top)
    return total if keepdims else np.squeeze(total, axis)


@reads(lambda g, p, axis: g - (g * p).sum(axis, keepdims=True))
def below_mean(g: Any, p: Any, axis: Any) -> Any:
    """Return g - Σ p g, how far g is above its mean under the probabilities p.

    Measured from where p is more than a half, if it is anywhere: g - Σ p g would cancel there as p nears 1.
    """
    g = g - np.sum(g * (p > 0.5), axis=axis, keepdims=True)
    return g - np.sum(g * p, axis=axis, keepdims=True)


@reads(lambda g, p, axis: g - p * g.sum(axis, keepdims=True))
def log_slope(g: Any, p: Any, axis: Any) -> Any:
    """Return g - p Σ g, where p is more than a half as (1 - p) g - p Σ of the others' g, with 1 - p exact."""
    likely = p > 0.5
    rest, others = (np.sum(np.where(likely, 0, v), axis=axis, keepdims=True) for v in (p, g))
    return np.where(likely, g * rest - p * others, g - p * np.sum(g, axis=axis, keepdims=True))


@primitive(lambda g, y, x, axis=None: y * below_mean(g, y, axis))
def softmax(x: Any, axis: Any = None) -> Any:
    """Return ``exp(x) / sum(exp(x))`` over an axis, several or all, without overflow.

    >>> softmax(Tensor([0.0, 0.0]))
    Tensor([0.5, 0.5])
    """
    x = _floats(x)
    powers = np.exp(x - _top(x, axis))
    return powers / np.sum(powers, axis=axis, keepdims=True)


@primitive(lambda g, y, x, axis=None: log_slope(g, np.exp(y), axis))
def log_softmax(x: Any, axis: Any = None) -> Any:
    """Return the logarithm of `softmax`, exact where the probability itself would round to 0 or 1.

    >>> log_softmax(Tensor([0.0, -1000.0]))
    Tensor([    0., -1000.])
    """
    x = _floats(x)
    shifted = x - _largest(x, axis)
    return shifted - logsumexp(shifted, axis, keepdims=True)


def _floats(x: Any) -> Any:
    """Return lists and whole numbers as floats; leave arrays and Tensors of floats as they are."""
    x = x if hasattr(x, "dtype") else np.asarray(x)
    return x if is_differentiable(x.dtype) else x.astype(float)


def _top(x: Any, axis: Any) -> Any:
    """Return the largest elements, to subtract; no gradient flows, since what is subtracted cancels."""
    return np.max(x.detach() if isinstance(x, Tensor) else x, axis=axis, keepdims=True)


def _largest(x: Any, axis: Any) -> Any:
    """Return the largest elements, but 0 where that is infinite."""
    top = _top(x, axis)
    return np.where(np.isfinite(top), top, 0)


def __getattr__(name: str) -> Any:
    """Hand on everything else from SciPy."""
    if name.startswith("__"):
        raise AttributeError(name)
    try:
        from scipy import special
    except ImportError as missing:
        raise ImportError(f"tinygrad_edu.special.{name} needs SciPy:  pip install scipy") from missing
    return getattr(special, name)
