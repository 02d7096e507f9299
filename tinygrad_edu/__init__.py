"""Automatic differentiation that fits in your head: a Tensor remembers the NumPy calls made on it."""

from .recording import NoGradientRule, no_grad, primitive
from .rules import (
    RULES,
    constant,
    define,
    elementwise,
    indexing,
    linalg,
    polynomials,
    products,
    reductions,
    rule,
    shapes,
    statistics,
)
from .tensor import Tensor
from .transforms import (
    checkpoint,
    elementwise_grad,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
)

__version__ = "0.1.0"
__all__ = [
    "RULES",
    "NoGradientRule",
    "Tensor",
    "checkpoint",
    "constant",
    "define",
    "elementwise_grad",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "no_grad",
    "primitive",
    "rule",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]

del (
    elementwise,
    indexing,
    linalg,
    polynomials,
    products,
    reductions,
    shapes,
    statistics,
)  # imported to fill the table
