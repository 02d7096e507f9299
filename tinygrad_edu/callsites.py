"""Places: where in the user's code a call was made.

A place is a code object and an instruction in it, which cost little to remember; `line_of` reads the line
from them when somebody asks.
"""

import functools
import linecache
import os
import sys
import warnings
from pathlib import Path
from types import CodeType
from typing import Any, TypeAlias

Place: TypeAlias = tuple[CodeType, int]


class _Internal(dict[str, bool]):
    """Which source files belong to this package: a recorded call names the user's line, not one of ours."""

    def __missing__(self, filename: str) -> bool:
        self[filename] = internal = filename.startswith(os.path.dirname(__file__) + os.sep)
        return internal


internal = _Internal()


def is_ours(module: str | None) -> bool:
    """Tell whether a module, by its name, is one of this package's.

    >>> is_ours("tinygrad_edu.rules"), is_ours("tinygrad_edu_homework"), is_ours(None)
    (True, False, False)
    """
    return (module or "").partition(".")[0] == __name__.partition(".")[0]


@functools.lru_cache(1000)
def is_users(module: str | None) -> bool:
    """Tell whether a module, by its name, is none of Python's, of an installed package's, or ours."""
    if not isinstance(module, str) or is_ours(module):
        return False
    first = module.partition(".")[0]
    if first in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(first), "__file__", None) or ""
    return not {"site-packages", "dist-packages"}.intersection(Path(file).parts)


def expression_at(place: Place) -> str:
    """Return the text of the expression that an instruction was compiled from, or of its first line."""
    code, instruction = place
    first, last, start, end = list(code.co_positions())[instruction // 2]
    line = linecache.getline(code.co_filename, first or 0).encode()  # columns count bytes
    return line[start : end if first == last else None].decode(errors="replace").strip()


def line_of(place: Place) -> tuple[str, int]:
    """Return the file and line of an instruction in a code object."""
    code, instruction = place
    lines = [line for start, end, line in code.co_lines() if start <= instruction < end and line]
    return code.co_filename, lines[0] if lines else code.co_firstlineno


def _users_frame() -> Any:
    """Return the innermost frame of code that is neither this package's nor NumPy's."""
    frame: Any = sys._getframe(1)
    while (internal[frame.f_code.co_filename] or _is_numpys(frame)) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def users_place() -> Place:
    """Return the innermost place in code that is neither this package's nor NumPy's."""
    frame = _users_frame()
    return frame.f_code, frame.f_lasti


def warn(message: str, category: type[Warning] = RuntimeWarning) -> None:
    """Warn at the user's line; once, as long as the user's filters are Python's own."""
    frame = _users_frame()
    seen = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, category, *line_of((frame.f_code, frame.f_lasti)), registry=seen)


def _is_numpys(frame: Any) -> bool:
    return bool(frame.f_globals.get("__name__", "").partition(".")[0] == "numpy")
