"""How to call each function that has a gradient rule: one entry a function, read by test_rules.py.

An entry is a recipe that draws the arguments of one call, in the module of the rule's own theme. Most are one
line::

    covers(np.tile)(lambda draw: call(draw(arrays()), draw(st.integers(0, 3))))

An elementwise function of one or two arguments that is smooth at 0.4 to 2 and at -2 to -0.4 needs no entry if
it is a ufunc; one with a smaller domain needs a line in `elementwise.DOMAINS`.
"""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from . import indexing, linalg, nn, polynomials, products, reductions, shapes, statistics  # noqa: F401
from .base import CASES, Case
from .elementwise import DOMAINS, TIES, elementwise


def strategy_for(fn: Any) -> st.SearchStrategy[Case] | None:
    """Return the recipe for a function: its entry, or a made-up one for a ufunc."""
    if fn in CASES:
        return CASES[fn]
    if isinstance(fn, np.ufunc) and fn.signature is None:
        return elementwise(fn.nin, DOMAINS.get(fn, ()), fn in TIES)
    return None
