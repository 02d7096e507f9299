"""Outside: a copy of a function that finds traced arrays in the variables around it, not plain ones.

NumPy asks nobody when a plain array is indexed: ``X[index]`` with a traced index has no way into a program. A
function that does so is traced once more, as a copy of itself in whose variables traced arrays stand, which
the program reads anew on each call. The user's own function and variables stay as they are.
"""

import dis
import functools
import types
from typing import Any

import numpy as np

from ..callsites import internal
from ..recording import make
from .surroundings import codes_in, names_in
from .trace import Trace

WRITING = ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF")


def with_traced_arrays(function: Any, trace: Trace) -> Any:
    """Return a function that does what another does, on traced arrays in the place of those around it."""
    return _Copies(trace).of(function, "")


class _Copies:
    """Makes one copy of each function and of each array, wherever it is met."""

    def __init__(self, trace: Trace):
        self.trace = trace
        self.made: dict[int, Any] = {}
        self.kept: list[Any] = []  # so that ids stay theirs

    def of(self, value: Any, name: str) -> Any:
        """Return what takes the place of something that a variable of that name holds."""
        if isinstance(value, types.MethodType):
            return types.MethodType(self.of(value.__func__, name), value.__self__)
        if type(value) is functools.partial:
            args = [self.of(arg, name) for arg in value.args]
            return functools.partial(self.of(value.func, name), *args, **value.keywords)
        if type(value) is not np.ndarray and not _can_be_copied(value):
            return value
        if id(value) not in self.made:
            self.kept.append(value)
            if type(value) is np.ndarray:
                tensor = make(value)
                tensor.name = name
                self.made[id(value)] = self.trace.lift(tensor).value
            else:
                self._copy(value)
        return self.made[id(value)]

    def _copy(self, fn: types.FunctionType) -> None:
        """Make a copy of a function, in whose variables copies stand."""
        cells = tuple(types.CellType() for _ in fn.__closure__ or ())
        variables = fn.__globals__ if internal[fn.__code__.co_filename] else dict(fn.__globals__)
        copied = types.FunctionType(fn.__code__, variables, fn.__name__, fn.__defaults__, cells)
        copied.__kwdefaults__ = fn.__kwdefaults__
        copied.__dict__.update(vars(fn))
        self.made[id(fn)] = copied  # now: it may be among its own variables
        for name, cell, old in zip(fn.__code__.co_freevars, cells, fn.__closure__ or (), strict=True):
            try:
                cell.cell_contents = self.of(old.cell_contents, name)
            except ValueError:  # not assigned yet
                continue
        if variables is not fn.__globals__:
            for name in names_in(fn.__code__):
                if name in variables:
                    variables[name] = self.of(variables[name], name)


def _can_be_copied(fn: Any) -> bool:
    """Tell whether something is a function that writes to no variable outside itself."""
    if not isinstance(fn, types.FunctionType) or "opaque" in vars(fn):
        return False
    free = fn.__code__.co_freevars
    return not any(
        found.opname in WRITING and (found.opname.endswith("GLOBAL") or found.argval in free)
        for code in codes_in(fn.__code__)
        for found in dis.get_instructions(code)
    )
