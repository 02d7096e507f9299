"""Places: where in the user's code a call was made.

A place is a code object and an instruction in it, which cost little to remember; `line_of` reads the line
from them when somebody asks.
"""

import dis
import functools
import os
import sys
import warnings
from types import CodeType
from typing import Any, TypeAlias

Place: TypeAlias = tuple[CodeType, int]


class _Internal(dict[str, bool]):
    """Which source files belong to this package: a recorded call names the user's line, not one of ours."""

    def __missing__(self, filename: str) -> bool:
        self[filename] = internal = filename.startswith(os.path.dirname(__file__) + os.sep)
        return internal


internal = _Internal()


def line_of(place: Place) -> tuple[str, int]:
    """Return the file and line of an instruction in a code object."""
    code, instruction = place
    lines = [line for start, end, line in code.co_lines() if start <= instruction < end and line]
    return code.co_filename, lines[0] if lines else code.co_firstlineno


def users_place() -> Place:
    """Return the innermost place in code that is neither this package's nor NumPy's."""
    frame: Any = sys._getframe(1)
    while (internal[frame.f_code.co_filename] or _is_numpys(frame)) and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def warn_there(message: str) -> None:
    """Warn at the user's line."""
    file, line = line_of(users_place())
    warnings.warn_explicit(message, RuntimeWarning, file, line)


@functools.lru_cache(1000)
def words_at(place: Place) -> frozenset[str]:
    """Return the names that the expression at a place uses, and its operator: ``float`` in ``float(x)``."""
    code, instruction = place
    found = list(dis.get_instructions(code))
    here = next(each for each in found if each.offset == instruction)
    start, end = _span(here)
    inside = [each for each in found if start <= _span(each)[0] and _span(each)[1] <= end]
    return frozenset(
        [here.argrepr]
        + [each.argval for each in inside if type(each.argval) is str and each.opname != "LOAD_CONST"]
    )


def _span(instruction: dis.Instruction) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return where the expression of an instruction begins and ends."""
    at = instruction.positions
    if at is None:
        return (0, 0), (0, 0)
    return (at.lineno or 0, at.col_offset or 0), (at.end_lineno or 0, at.end_col_offset or 0)


def _is_numpys(frame: Any) -> bool:
    return bool(frame.f_globals.get("__name__", "").partition(".")[0] == "numpy")
