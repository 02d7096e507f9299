"""Small things that the modules beside this one share: looking up names, taking lists for arrays."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np


def as_array(x: Any) -> Any:
    """Return a list or number as an array; arrays of any kind and Tensors stay as they are."""
    return x if hasattr(x, "dtype") else np.asarray(x)


def find(wanted: Any, table: Mapping[str, Any], kind: str, other: str) -> Any:
    """Return what `table` has under a name, or `wanted` itself if it can be called.

    Raises:
        ValueError: no such name; the message lists the names there are and the nearest one.
        TypeError: neither a name nor something to call, or a class where an instance is meant.
    """
    if isinstance(wanted, str):
        if wanted in table:
            return table[wanted]
        lowered = {name.lower(): name for name in sorted(table)}
        near = get_close_matches(wanted.lower(), lowered, n=1)
        hint = f"; did you mean {lowered[near[0]]!r}?" if near else "."
        raise ValueError(f"there is no {kind} {wanted!r}{hint} There are: {', '.join(sorted(table))}")
    if isinstance(wanted, type):
        raise TypeError(f"{kind} needs an instance, and got the class; write {wanted.__name__}()")
    if not callable(wanted):
        raise TypeError(f"{kind} needs a name or {other}, and got {wanted!r}")
    return wanted
