"""Activations: the function g in h(W, b) = g(XW + b), each of which works on arrays and Tensors alike.

The one idea: a `primitive` is plain NumPy with a one-line gradient rule, so it is one node in a picture. Each
rule is written with the output ``y`` where that is shorter, and with operations that have rules themselves,
so that it can be differentiated again. Where a slide's formula would cancel, such as 1 - y for a y that has
rounded to 1, a helper computes the same from the input; docs/reliability.md says how exact all of them are.
`tanh` is NumPy's own, and `linear` is nothing at all.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .. import special
from ..rules import reads, reduced
from ..rules.primitive import primitive
from ..special import below_mean, log_slope
from .lookup import as_array, find

Activation: TypeAlias = Callable[[Any], Any]


def linear(z: Any) -> Any:
    """Return z itself: g(z) = z, the activation of linear regression."""
    return z


tanh = np.tanh


@reads(lambda y, z: 1 - y)
def complement(y: Any, z: Any) -> Any:
    """Return 1 - sigmoid(z), which is sigmoid(-z): that does not round to 0 where y rounds to 1."""
    return sigmoid(-z)


@primitive(lambda g, y, z: g * y * complement(y, z), elementwise=True)
def sigmoid(z: Any) -> Any:
    """Return g(z) = 1 / (1 + e^-z), between 0 and 1: the probability of a yes with logit z.

    Only e^-|z| is computed, so that no size of z overflows. Source: Bishop, Pattern Recognition and Machine
    Learning, equation 4.59.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    small = np.exp(-np.abs(z))
    return np.where(np.greater_equal(z, 0), 1, small) / (1 + small)


@reads(lambda y, z: z > 0)
def active(y: Any, z: Any) -> Any:
    """Return 1 where z > 0, 0 where it is not, and NaN for NaN: the sign of y = max(z, 0)."""
    return np.sign(y)


@primitive(lambda g, y, z: g * active(y, z), elementwise=True)
def relu(z: Any) -> Any:
    """Return g(z) = max(z, 0); its slope at 0 is taken as 0, and NaN stays NaN.

    Source: Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010.

    >>> relu(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    """
    return np.maximum(z, 0)


@reads(lambda z, slope: np.where(z > 0, 1, slope))
def leaky_slope(z: Any, slope: Any) -> Any:
    """Return 1 where z > 0, the slope below and at 0, and NaN for NaN."""
    return np.where(z > 0, 1, np.where(z <= 0, slope, z))


@primitive(lambda g, y, z, slope=0.1: g * leaky_slope(z, g.dtype.type(slope)), elementwise=True)
def leaky_relu(z: Any, slope: float = 0.1) -> Any:
    """Return g(z) = max(z, slope * z): a relu that keeps a little slope below 0 (and at 0).

    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    >>> leaky_relu(np.array([-2.0, 0.0, 3.0]))
    array([-0.2,  0. ,  3. ])
    """
    return np.where(np.greater(z, 0), z, slope * z)


def softplus(z: Any) -> Any:
    """Return g(z) = log(1 + e^z), a smooth relu whose slope is the sigmoid; no size of z overflows.

    Source: Dugas et al., "Incorporating second-order functional knowledge for better option pricing", 2000.

    >>> softplus(np.array([-1000.0, 0.0, 10.0])).round(4)
    array([ 0.    ,  0.6931, 10.    ])
    """
    return np.logaddexp(z, 0)


@primitive(lambda g, y, z: y * below_mean(g, y, -1))
def softmax(z: Any) -> Any:
    """Return g(z_k) = e^(z_k) / Σ_l e^(z_l) over the last axis: the probabilities of K classes.

    The largest logit is subtracted first, which changes nothing but keeps e^z from overflowing. Source:
    Bishop, Pattern Recognition and Machine Learning, equation 4.62.

    >>> softmax(np.array([[1000.0, 1000.0, -1000.0]]))
    array([[0.5, 0.5, 0. ]])
    """
    _, powers, total = exponentials(as_array(z))
    return powers / total


@primitive(lambda g, y, z: log_slope(g, np.exp(y), -1))
def log_softmax(z: Any) -> Any:
    """Return log softmax(z) over the last axis, exact where the probability itself would round to 0 or 1.

    >>> log_softmax(np.array([0.0, -1000.0]))
    array([    0., -1000.])
    """
    return special.log_softmax(as_array(z), -1)


def exponentials(z: Any) -> tuple[Any, Any, Any]:
    """Return z - max z, e to that power, and the sum of those over the last axis, kept as an axis."""
    shifted = z - reduced(np.maximum, z, -1, True)
    powers = np.exp(shifted)
    return shifted, powers, reduced(np.add, powers, -1, True)


ACTIVATIONS: dict[str, Activation] = {
    "linear": linear,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "softplus": softplus,
    "softmax": softmax,
    "log_softmax": log_softmax,
}


def get(activation: str | Activation | None) -> Activation:
    """Return an activation by its name; a function is returned as it is, and None means linear.

    Raises:
        ValueError: there is none of that name; the message lists them.

    >>> get("relu") is relu
    True
    """
    return linear if activation is None else find(activation, ACTIVATIONS, "activation", "a function of z")
