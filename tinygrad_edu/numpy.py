"""NumPy itself, under a name where type checkers know Tensors: ``import tinygrad_edu.numpy as np``.

At run time every name is NumPy's own object, and either import works just as well. They differ for a type
checker: NumPy's stubs say that ``np.exp(w)`` is an array, whatever `w` is; those beside this file
(``numpy.pyi``) say that a call which is given a Tensor returns one.

>>> import numpy
>>> import tinygrad_edu.numpy as np
>>> np.exp is numpy.exp and np.linalg.inv is numpy.linalg.inv
True
"""

from typing import Any

import numpy

__all__ = numpy.__all__


def __getattr__(name: str) -> Any:
    """Hand on everything from NumPy, except that it is a package: its rooms would be made twice."""
    if name == "__path__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(numpy, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
