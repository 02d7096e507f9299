"""Training or using: what layers such as dropout and batch normalisation ask before they compute.

The one idea: `fit` switches a context variable on for its steps, and `evaluate` and `predict` switch it off,
so that no layer in between has to hand the answer on.
"""

from contextvars import ContextVar, Token
from typing import Any

from ..state import current_trace
from ..tracing import depends_on

# whether models are trained here and now, and the capture inside which that was decided
_training: ContextVar[tuple[bool, Any]] = ContextVar("tinygrad_edu_training", default=(False, None))


def is_training() -> bool:
    """Tell whether a model is being trained here and now, so that dropout should drop."""
    on, decided_in = _training.get()
    if decided_in is not None and decided_in is current_trace():
        return on  # by the captured function itself, so that no other answer is possible
    return depends_on(_answer)


def _answer() -> bool:
    return _training.get()[0]


class training:  # noqa: N801 (used like no_grad)
    """Switch layers such as `Dropout` to training in a ``with`` block, as `fit` does.

    >>> with training():
    ...     is_training()
    True
    """

    def __init__(self, on: bool = True):
        self.on = bool(on)
        self.tokens: list[Token[tuple[bool, Any]]] = []

    def __enter__(self) -> None:
        self.tokens.append(_training.set((self.on, current_trace())))

    def __exit__(self, *error: object) -> None:
        _training.reset(self.tokens.pop())
