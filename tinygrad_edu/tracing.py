"""Tracing: what `capture` asks of the rest of the library, and the words in which the rest answers.

A captured program is written down while the function runs once under a `Trace`. Most code never notices.
What has to say something says it here: which facts decide what is computed, which values may be looked at,
and that something must exist before a program can be made. (Numbers that may be others on each call are in
`declared`.)
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .recording import Recorded
from .state import current_trace

R = TypeVar("R")


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
