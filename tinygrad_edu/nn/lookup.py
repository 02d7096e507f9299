"""Small things that the modules beside this one share: names, and lists that stand for arrays or inputs."""

import itertools
from collections.abc import Container, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np


def as_array(x: Any) -> Any:
    """Return a list or number as an array; arrays of any kind and Tensors stay as they are."""
    return x if hasattr(x, "dtype") else np.asarray(x)


def is_several(x: Any) -> bool:
    """Tell several inputs from one: a dict, or a list or tuple that holds arrays (or Tensors), not numbers.

    >>> is_several([np.ones(2), np.ones(3)]), is_several([[1, 2], [3, 4]])
    (True, False)
    """
    if not isinstance(x, (list, tuple)):
        return isinstance(x, dict)
    return any(
        (hasattr(part, "dtype") and not isinstance(part, np.generic)) or is_several(part) for part in x
    )


def free_name(wanted: str, taken: Container[str], last: dict[str, int] | None = None) -> str:
    """Return a name that is not taken: dense, dense_1, dense_2, ...

    `last` remembers the last number given to each name, so that naming n things takes n steps.
    """
    if wanted not in taken:
        return wanted
    last = {} if last is None else last
    number = next(n for n in itertools.count(last.get(wanted, 0) + 1) if f"{wanted}_{n}" not in taken)
    last[wanted] = number
    return f"{wanted}_{number}"


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
