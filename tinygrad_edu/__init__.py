"""Automatic differentiation that fits in your head: a Tensor remembers the NumPy calls made on it."""

import importlib
from typing import TYPE_CHECKING, Any

from .anomaly import detect_anomaly
from .rules import RULES, NoGradientRule, constant, define, rule
from .rules import elementwise as _elementwise
from .rules import indexing as _indexing
from .rules import linalg as _linalg
from .rules import polynomials as _polynomials
from .rules import products as _products
from .rules import reductions as _reductions
from .rules import shapes as _shapes
from .rules import statistics as _statistics
from .rules.primitive import opaque, primitive
from .scalars import ScalarWarning
from .state import no_grad, scope
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
    "CaptureError",
    "NoGradientRule",
    "ScalarWarning",
    "Tensor",
    "checkpoint",
    "constant",
    "data",
    "define",
    "detect_anomaly",
    "distributions",
    "elementwise_grad",
    "explain",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jit",
    "jvp",
    "nn",
    "no_grad",
    "opaque",
    "primitive",
    "random",
    "rule",
    "scope",
    "special",
    "stop_gradient",
    "testing",
    "value_and_grad",
    "viz",
    "vjp",
]

# imported for what they put into the table of rules
del _elementwise, _indexing, _linalg, _polynomials, _products, _reductions, _shapes, _statistics


_ROOMS = ("capture", "data", "distributions", "nn", "random", "special", "testing", "viz")
_ELSEWHERE = {"explain": "viz.chain", "jit": "capture.jit", "CaptureError": "capture.traced"}

if TYPE_CHECKING:
    from .capture.jit import jit
    from .capture.traced import CaptureError


def __dir__() -> list[str]:
    """List what there is for users; other modules may move."""
    return sorted([*__all__, "__version__"])


def __getattr__(name: str) -> Any:
    """Import the rooms that not every program enters when they are first asked for."""
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
