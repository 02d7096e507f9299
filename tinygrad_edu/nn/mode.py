"""Training or using: what layers such as dropout and batch normalisation ask before they compute.

The one idea: `fit` switches a context variable on for its steps, and `evaluate` and `predict` switch it off,
so that no layer in between has to hand the answer on.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from ..recording import current_trace, settled

# whether models are trained here and now, and the capture inside which that was decided
_training: ContextVar[tuple[bool, Any]] = ContextVar("tinygrad_edu_training", default=(False, None))


def is_training() -> bool:
    """Tell whether a model is being trained here and now, so that dropout should drop."""
    on, decided_in = _training.get()
    if decided_in is not None and decided_in is current_trace():
        return on  # by the captured function itself, so that no other answer is possible
    return settled(_answer)


def _answer() -> bool:
    return _training.get()[0]


@contextlib.contextmanager
def training(on: bool = True) -> Iterator[None]:
    """Switch layers such as `Dropout` to training in a ``with`` block, as `fit` does.

    >>> with training():
    ...     is_training()
    True
    """
    token = _training.set((bool(on), current_trace()))
    try:
        yield
    finally:
        _training.reset(token)
