"""Running a function on Symbols, so that it writes down what it computes.

The function is copied, and in the copy every helper that it calls writes itself down: as the helper says
(`rules.reads`), or by its own name. Helpers are found by the function objects that the code refers to.
"""

import functools
import inspect
import types
from typing import Any

import numpy as np

from ..rules import READS
from .symbols import Symbol, arrays_of, as_symbol, inside_brackets, named

# modules whose functions know arrays by their protocols, so that symbols can pass through them
SPOKEN = ("numpy", "scipy", "math", "itertools", "functools", "operator")


def run_on_symbols(vjp: Any, *call: Any, **kwargs: Any) -> Any:
    """Run a rule on Symbols, and make sure that it does the same as on their arrays."""
    with np.errstate(all="ignore"):
        part, plain = on_symbols(vjp)(*call, **kwargs), vjp(*arrays_of(call), **arrays_of(kwargs))
    if not _same(arrays_of(part), plain):
        raise TypeError("the rule does something else on symbols than on arrays")
    return part


def _same(a: Any, b: Any) -> bool:
    """Tell whether two results of a rule are the same, to rounding."""
    if isinstance(b, (list, tuple)):
        return isinstance(a, (list, tuple)) and len(a) == len(b) and all(map(_same, a, b))
    if not all(isinstance(x, (np.ndarray, np.generic, int, float)) for x in (a, b)):
        return type(a) is type(b)  # arrays of other libraries are not asked for their numbers
    if np.array_equal(a, b):
        return True
    near = 1e-3 * float(np.max(np.abs(b), where=np.isfinite(b), initial=0.0))  # sums may go another way
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, 1e-3, near, equal_nan=True))


def on_symbols(fn: Any) -> Any:
    """Return a copy of a function in which the helpers that it calls write themselves down."""
    if isinstance(fn, functools.partial):
        return functools.partial(on_symbols(fn.func), *fn.args, **fn.keywords)
    if isinstance(fn, types.MethodType):
        return functools.partial(on_symbols(fn.__func__), fn.__self__)
    world = {name: _writing(value) for name, value in fn.__globals__.items()}
    cells = tuple(types.CellType(_writing(cell.cell_contents)) for cell in fn.__closure__ or ())
    defaults = fn.__defaults__ and tuple(map(_writing, fn.__defaults__))
    copy = types.FunctionType(fn.__code__, world, fn.__name__, defaults, cells)
    copy.__kwdefaults__ = fn.__kwdefaults__ and {k: _writing(v) for k, v in fn.__kwdefaults__.items()}
    return copy


class _Module:
    """A module whose functions write themselves down."""

    def __init__(self, module: types.ModuleType):
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return _writing(getattr(self._module, name))


def _writing(value: Any) -> Any:
    """Return what stands for a function, or a module of them, in a rule that runs on Symbols."""
    if isinstance(value, functools.partial):
        return functools.partial(_writing(value.func), *value.args, **value.keywords)
    if not isinstance(value, (types.FunctionType, types.ModuleType)):
        return value
    home = value.__module__ if isinstance(value, types.FunctionType) else value.__name__
    if (home or "").split(".")[0] in SPOKEN:
        return value
    return _Module(value) if isinstance(value, types.ModuleType) else functools.partial(_write_call, value)


def _write_call(fn: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Call a helper on Symbols, and write the call as the helper says; else by its name."""
    name = fn.__name__
    how = READS.get(fn, fn if _belongs_to_another(name) else None)
    if how is fn:
        return on_symbols(fn)(*args, **kwargs)
    if name.startswith("_"):
        raise TypeError(f"{name} has no name that a reader knows")
    value = fn(*arrays_of(args), **arrays_of(kwargs))
    written = named(fn, name, args, kwargs, value)
    if how is None or not isinstance(written, Symbol) or any(written is arg for arg in args):
        return written
    if isinstance(how, str):
        given = inspect.signature(fn).bind(*args, **kwargs).arguments
        return Symbol(how.format(**{key: inside_brackets(arg) for key, arg in given.items()}), value)
    read = as_symbol(how(*args, **kwargs))
    if np.array_equal(arrays_of(read), value):
        return read  # which may know more than its text, such as how each of its numbers is made
    return Symbol(read.text, value, read.level)


def _belongs_to_another(name: str) -> bool:
    """Tell whether a reader would take a function of this name for one of NumPy's, or of the rules."""
    known = {helper.__name__ for helper in READS}
    return name in known or name in vars(np) or name in vars(np.linalg) or not name.isidentifier()
