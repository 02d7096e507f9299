"""Tracing: what `capture` asks of the rest of the library, and the words in which the rest answers.

A captured program is written down while the function runs once under a `Trace`. Most code never notices.
What has to say something says it here: which numbers may be others on each call, which facts decide what is
computed, and that something must exist before a program can be made.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np

from .recording import Recorded
from .state import current_trace

R = TypeVar("R")


class Trace(Protocol):
    """What writes calls down. A Tensor from outside is never changed: it has other values under the trace."""

    def value(self, tensor: Any) -> Any:
        """Return the array that a Tensor has under this trace."""

    def assign(self, tensor: Any, value: Any) -> None:
        """Give a Tensor another array under this trace."""

    def gradient(self, tensor: Any) -> Any:
        """Return the gradient that a Tensor has under this trace: a Tensor or None."""

    def assign_gradient(self, tensor: Any, gradient: Any) -> None:
        """Give a Tensor another gradient under this trace."""

    def differentiate(self, vertex: Any, total: Any) -> None:
        """Hear that the gradient of a recorded value is complete, and that its rule runs next."""

    def example(self, value: Any) -> Any:
        """Return the value of the run that the program is made from."""

    def draw(self, generator: Callable[[], Any], method: str, args: Any) -> Any:
        """Write down a drawing of random numbers, which is made anew on every call."""

    def number(self, owner: Any, name: str) -> Any:
        """Return what stands for a number among an object's attributes, which is read anew on each call."""

    def advance(self, owner: Any, name: str) -> None:
        """Count up such a number, on each call."""

    def advanced(self, owner: Any, name: str) -> int:
        """Return how often such a number has been counted up so far."""

    def fact(self, get: Callable[[], R], of: Any = None) -> R:
        """Note a fact that decides what is computed: another answer takes another program."""

    def refusal(self, what: str, instead: str) -> Exception:
        """Return the error for what cannot be captured."""


def depends_on(get: Callable[[], R], of: Any = None) -> R:
    """Return a fact that decides what is computed; under capture, another answer makes another program.

    It is asked for again before every call; or, where it is a fact `of` an object that counts in its
    attribute `changes` how often it was changed, only when that count is another one.

    >>> depends_on(lambda: True)
    True
    """
    trace = current_trace()
    if trace is None:
        return get()
    answer: R = trace.fact(get, of)
    return answer


def concrete_values(x: Any) -> Any:
    """Return the values of an array or Tensor, to check them; None where they are not computed yet (Dask).

    Under capture these are the values of the run that the program is made from: no other is checked.
    """
    data = x.data if isinstance(x, Recorded) else x
    trace = current_trace()
    data = data if trace is None else trace.example(data)
    return data if type(data) is np.ndarray else None


class NotYet(Exception):
    """Raised under capture by what must be made first, such as parameters: this call is then not captured."""
