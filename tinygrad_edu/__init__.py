"""Automatic differentiation that fits in your head: a Tensor remembers the NumPy calls made on it."""

from .recording import NoGradientRule, no_grad, primitive
from .rules import RULES, constant, elementwise, indexing, products, reductions, rule, shapes
from .tensor import Tensor

__version__ = "0.1.0"
__all__ = ["RULES", "NoGradientRule", "Tensor", "constant", "no_grad", "primitive", "rule"]

del elementwise, indexing, products, reductions, shapes  # imported to fill the table
