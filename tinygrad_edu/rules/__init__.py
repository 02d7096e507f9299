"""The table of gradient rules: which line of NumPy is the derivative of which function.

A rule answers one question. The loss changes by ``g`` per unit of the output ``y``; by how much does
it change per unit of an input? (The answer is a *vector-Jacobian product*, or VJP.) Each answer is one
line of plain NumPy, given ``g``, ``y`` and then the arguments of the call itself::

    rule(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)

The lines fill this table from the modules beside this one, by theme. They know NumPy and nothing of
`Tensor`, so that the same line runs on arrays, on Tensors (gradients of gradients) and under capture.
"""

import dis
import functools
import inspect
import types
from collections.abc import Callable, Container
from typing import Any

import numpy as np

from ..callsites import is_ours

Function = Callable[..., Any]
ALL = range(1 << 30)  # the positions of all arguments, however many there are


class Rule:
    """How gradients pass backwards through one function: one VJP per differentiable argument.

    Or, in `definition`, the same function written with functions that have rules.
    """

    def __init__(
        self,
        vjps: tuple[Function | None, ...] = (),
        each: Function | None = None,
        elementwise: bool = False,
        undo_broadcast: bool = False,
        definition: Function | None = None,
        saves: bool = False,
    ):
        self.vjps = vjps
        self.each = each
        self.elementwise = elementwise
        self.undo_broadcast = undo_broadcast
        self.definition = definition
        self.saves = saves

    @functools.cached_property
    def positions_read(self) -> Container[int]:
        """The positions of the arguments that some VJP reads, which must then stay what they were."""
        found = [_positions_read(vjp) for vjp in (self.vjps if self.each is None else [self.each])]
        return ALL if ALL in found else set().union(*found)

    def vjps_of(self, args: tuple[Any, ...]) -> tuple[Function | None, ...]:
        """Return the VJPs for the arguments of a call, one each."""
        if self.each is None:
            return self.vjps
        return tuple(functools.partial(self.each, position) for position in range(len(args)))


def _positions_read(vjp: Function | None) -> Any:
    """List the positions of the arguments that a VJP reads, as its code says."""
    if vjp is None:
        return set()
    if type(vjp) is not types.FunctionType or vjp.__code__.co_flags & inspect.CO_VARARGS:
        return ALL
    code = vjp.__code__
    names = code.co_varnames[2 : code.co_argcount]
    loaded = [i.argval for i in dis.get_instructions(code) if "LOAD_" in i.opname]
    read = {*code.co_cellvars, *(name for found in loaded for name in _names(found))}
    return {position for position, name in enumerate(names) if name in read}


def _names(loaded: Any) -> Any:
    return loaded if isinstance(loaded, tuple) else (loaded,) if isinstance(loaded, str) else ()


RULES: dict[Function, Rule] = {}
CONSTANT = Rule()


def rule(
    fn: Function,
    *vjps: Function | None,
    each: Function | None = None,
    elementwise: bool | None = None,
    saves: bool = False,
) -> None:
    """Register the gradient of `fn`: one function ``vjp(g, y, *args, **kwargs)`` per argument.

    ``g`` is the gradient of the loss with respect to the output ``y`` and has its shape; the rest is
    the call as it was made. The VJP returns the gradient with respect to its argument, in that argument's
    shape (a list of them where the argument is a list, as in ``np.concatenate``). Write it with operations
    that have rules themselves, and every higher derivative follows. None says that no gradient flows.

    `each` serves functions of any number of arguments (``np.einsum``): ``each(position, g, y, *args)``.
    `elementwise` promises that every output element depends on the matching input elements only; NumPy's
    ufuncs are known to be so. The engine then undoes broadcasting, and the rule need not mention it.
    `saves` is explained at `primitive`.

    Raises:
        TypeError: `fn` is a plain Python function. Its calls on Tensors are recorded one by one, so that a
            rule would never be used; `primitive` makes it one call with a rule. Or it is no function.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> tg.rule(np.sinc, lambda g, y, x: g * (np.cos(np.pi * x) - y) / x)      # in place of the rule it has
    """
    if isinstance(fn, types.FunctionType) and not is_ours(fn.__module__):
        raise TypeError(
            f"{fn.__name__} is a plain Python function: what it does with Tensors is recorded call by call, "
            "and a rule for it would never be used. Make it one call with  @tg.primitive(lambda g, y, x: ...)"
        )
    if not callable(fn) or not all(vjp is None or callable(vjp) for vjp in vjps):
        raise TypeError("rule(fn, *vjps) takes a function and, for each of its arguments, a function or None")
    enter(fn, *vjps, each=each, elementwise=elementwise, saves=saves)


def enter(
    fn: Function,
    *vjps: Function | None,
    each: Function | None = None,
    elementwise: bool | None = None,
    saves: bool = False,
) -> None:
    """Write a line into the table, as `rule` does after its checks."""
    ufunc = isinstance(fn, np.ufunc)
    if elementwise is None:
        elementwise = ufunc and fn.signature is None  # type: ignore[attr-defined]
    RULES[fn] = Rule(vjps, each, elementwise, undo_broadcast=ufunc or elementwise, saves=saves)


def define(fn: Function, definition: Function) -> None:
    """Say what `fn` is made of, in NumPy functions that have rules; it is then recorded as those calls.

    For functions whose gradient is best found from how they are computed, such as ``np.kron`` or ``np.cov``.
    Where no gradient is wanted, NumPy's own `fn` runs.
    """
    RULES[fn] = Rule(definition=definition)


def constant(*fns: Function) -> None:
    """Declare functions whose result no gradient flows through: comparisons, argmax, shape, ..."""
    for fn in fns:
        RULES[fn] = CONSTANT


# why some functions have no rule, and what to write instead
IN_PLACE = "changes an array in place, and a Tensor does not change; write  x = x.at[index].set(values)"
FILLS = (
    "changes an array in place, and a Tensor does not change; np.full and np.full_like also call it: write "
    "np.broadcast_to(value, shape)  or  x.at[index].set(value)"
)
COMPLEX = "gives complex numbers: gradients are for real numbers so far"
REFUSED: dict[Function, str] = {
    **dict.fromkeys((np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis), IN_PLACE),
    np.copyto: FILLS,
    **dict.fromkeys((np.linalg.eig, np.linalg.eigvals, np.roots, np.sort_complex), COMPLEX),
    **{
        getattr(np.fft, prefix + name): COMPLEX
        for name in ("fft", "fft2", "fftn")
        for prefix in ("", "i", "r", "ir")
    },
    **dict.fromkeys((np.fft.hfft, np.fft.ihfft), COMPLEX),
}


class NoGradientRule(TypeError):
    """Raised when a Tensor that needs a gradient meets a function without a gradient rule."""


def no_rule(fn: Function, recipe: Rule | None, position: int) -> NoGradientRule:
    """Return the error that says which line would teach the table about an argument of `fn`."""
    name = function_name(fn)
    number = f"argument number {position + 1}"
    if fn in REFUSED:
        return NoGradientRule(f"{name} {REFUSED[fn]}")
    if recipe is not None:
        return NoGradientRule(f"{name} has no gradient rule for its {number}; give it tensor.detach() there")
    return NoGradientRule(
        f"{name} has no gradient rule, and its {number} needs a gradient. Teach it one:  "
        f"tg.rule({name}, lambda g, y, {', '.join('abcdefgh'[: position + 1])}: ...)  "
        "where g is the gradient of the output y; or give it tensor.detach() if no gradient should flow"
    )


def function_name(fn: Function) -> str:
    """Return how a user would write the function: ``np.matmul``, ``np.linalg.inv``, ``my_module.my_op``."""
    name = getattr(fn, "__name__", type(fn).__name__)
    module = getattr(fn, "__module__", None) or ""
    if isinstance(fn, np.ufunc):  # which do not know where they are from
        module = "numpy" if getattr(np, name, None) is fn else "scipy.special"
    if module.split(".")[0] == "numpy":
        return module.replace("numpy", "np", 1) + "." + name
    return name if is_ours(module) or module == "_operator" else f"{module}.{name}".strip(".")


def is_differentiable(dtype: Any) -> bool:
    """Tell whether gradients flow through arrays of a dtype: real floating-point numbers, so far.

    (For complex numbers the convention will be that `g` is the gradient whose real and imaginary parts are
    those of PyTorch and of this sheet's formulas: a rule multiplies `g` by the conjugate of the derivative.)
    """
    return bool(np.dtype(dtype).kind == "f")


READS: dict[Function, str | Function] = {}


def reads(how: str | Function | None = None) -> Callable[[Function], Function]:
    """Say how the call of a helper is written in a formula; the formula finds it by the function itself.

    `how` is a text around the helper's arguments, or a line of NumPy to be written in its place: what the
    helper does apart from special cases. With neither, the operations inside the helper are written.

    >>> @reads("twice({x})")
    ... def twice(x):
    ...     return 2 * x
    """

    def declare(fn: Function) -> Function:
        READS[fn] = fn if how is None else how
        return fn

    return declare


def as_array(x: Any) -> Any:
    """Read a list of numbers as an array; leave numbers, arrays and Tensors as they are."""
    return np.asarray(x) if isinstance(x, (list, tuple)) else x


def cast(x: Any, dtype: Any) -> Any:
    """Convert the elements, if they are of another type."""
    return x if x.dtype == dtype else x.astype(dtype)


@reads("unbroadcast({g})")
def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: sum `g` over the axes that broadcasting from `shape` added or stretched."""
    if g.shape == shape:
        return g
    added = g.ndim - len(shape)
    if g.shape[added:] == shape:
        return reduced(np.add, g, 0 if added == 1 else tuple(range(added)))
    if added < 0 or (0 in shape and g.size):
        return np.broadcast_to(g, shape)
    stretched = tuple(added + i for i, n in enumerate(shape) if n == 1 != g.shape[added + i])
    return np.reshape(reduced(np.add, g, tuple(range(added)) + stretched), shape)


REDUCTIONS: dict[Any, Function] = {np.add: np.sum, np.maximum: np.max}


def reduced(ufunc: Any, x: Any, axis: Any, keepdims: bool = False) -> Any:
    """Return np.sum or np.max over some axes; a NumPy array goes straight to the ufunc, which is faster."""
    if type(x) is np.ndarray:
        return ufunc.reduce(x, axis, None, None, keepdims)
    return REDUCTIONS[ufunc](x, axis=axis, keepdims=keepdims)
