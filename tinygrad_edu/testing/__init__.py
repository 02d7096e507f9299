"""Checks for gradients: yours as much as the library's own.

`check_gradient` compares a function's gradient with the slope measured by `numerical_gradient` and its kin,
to about ten digits. The Hypothesis strategies are in `tinygrad_edu.testing.strategies`, which needs the
``testing`` extra; everything else needs NumPy only.
"""

from .checks import check_constant, check_gradient
from .numerical import numerical_gradient, numerical_jvp, numerical_vjp

__all__ = ["check_constant", "check_gradient", "numerical_gradient", "numerical_jvp", "numerical_vjp"]


def __dir__() -> list[str]:
    return sorted(__all__)
