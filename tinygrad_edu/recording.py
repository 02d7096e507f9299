"""Recording: every NumPy call on a Tensor passes through one door, `apply`, and leaves a `Node` behind.

A `Node` is one recorded call: the function, its arguments as the user gave them, and the arrays it was run
on. A Tensor holds the Node that made it; a Node never holds its own Tensor. So references point only
from results to arguments, there is no cycle, and a graph is freed the moment its loss is.
"""

import inspect
import itertools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .callsites import internal, line_of
from .containers import LEAVES, children, leaves, like, rebuild, tree_map
from .keeping import Watched, apart, keep
from .rules import (
    CONSTANT,
    RULES,
    Function,
    NoGradientRule,
    Rule,
    function_name,
    is_differentiable,
    no_rule,
    rule,
)
from .scalars import warn_of_read, was_read
from .state import current_state

NO_KWARGS: Any = {}  # shared, never written to
_serials = itertools.count()
_new = object.__new__


class Node:
    """One recorded call.

    `args` and `kwargs` are the call as it was made (with Tensors), `arrays` the positional arguments it was
    run on; `serial` counts calls, so that a call's serial is always above those of the calls that made its
    arguments; `scope` names the layers around it; `place` says where in the user's code it was made; `saved`
    is what the function handed over for its gradient rule, if it does so.
    """

    __slots__ = ("args", "arrays", "fn", "kwargs", "place", "rule", "saved", "scope", "serial", "watched")

    def __init__(
        self,
        fn: Function,
        rule: Rule,
        args: tuple[Any, ...] = (),
        arrays: Sequence[Any] = (),
        kwargs: Any = NO_KWARGS,
        scope: tuple[str, ...] = (),
    ):
        self.fn = fn
        self.rule = rule
        self.args = args
        self.arrays = arrays
        self.kwargs = kwargs
        self.scope = scope
        self.saved: Any = None
        self.watched: Sequence[Watched] = ()
        self.serial = next(_serials)
        frame: Any = sys._getframe(2)
        while internal[frame.f_code.co_filename] and frame.f_back is not None:
            frame = frame.f_back
        self.place = frame.f_code, frame.f_lasti

    def inputs(self, on_tensors: bool) -> Sequence[Any]:
        """Return the arguments for the gradient rule: as arrays, or those that need gradients as Tensors.

        Raises:
            RuntimeError: a large array has changed since the call.
        """
        for watched in self.watched:
            watched.check(self)
        if not on_tensors:
            return self.arrays
        pairs = zip(self.args, self.arrays, strict=True)
        return [arg if needs_gradient(arg) else array for arg, array in pairs]

    def options(self, on_tensors: bool) -> Any:
        """Return the keyword arguments for the gradient rule: those of the call, and what it `saved`."""
        if not self.rule.saves:
            return self.kwargs
        return {**self.kwargs, "saved": None if on_tensors else self.saved}

    @property
    def name(self) -> str:
        """The function's name as NumPy spells it, such as ``matmul``."""
        return function_name(self.fn).rpartition(".")[2]

    def source(self) -> tuple[str, int]:
        """Return the file and line of the user's code that made the call."""
        return line_of(self.place)


def next_serial() -> int:
    """Return a serial above those of all calls recorded so far, and below those of all calls to come."""
    return next(_serials)


class Recorded:
    """An array, the call that made it and its gradient: a `Tensor` without NumPy's operators and methods.

    `data` and `grad` are what the code that runs here should see. They are what `_data` and `_grad` hold,
    except under a trace (see `capture`), in which a Tensor from outside has other values and stays as it is.
    """

    __slots__ = ("__weakref__", "_data", "_grad", "cut", "hooks", "keeps_grad", "name", "node")

    _data: Any
    _grad: Any
    cut: str  # how it lost its way back to Tensors that need gradients: "detached", "no_grad", "jit" or ""
    hooks: tuple[Callable[[Any], Any], ...]
    keeps_grad: bool
    name: str | None
    node: Node | None

    @property
    def data(self) -> Any:
        """The values, as an array that is never written to."""
        trace = current_state().trace
        return self._data if trace is None else trace.value(self)

    @data.setter
    def data(self, array: Any) -> None:
        trace = current_state().trace
        if trace is None:
            self._data = array
        else:
            trace.assign(self, array)

    @property
    def grad(self) -> Any:
        """The gradient that `backward` has left here: a Tensor, or None."""
        trace = current_state().trace
        return self._grad if trace is None else trace.gradient(self)

    @grad.setter
    def grad(self, gradient: Any) -> None:
        trace = current_state().trace
        if trace is None:
            self._grad = gradient
        else:
            trace.assign_gradient(self, gradient)


_result_type: type[Recorded] = Recorded


def results_are(cls: type[Recorded]) -> None:
    """Tell the recorder which class to wrap results in (`Tensor` calls this once)."""
    global _result_type
    _result_type = cls


def make(data: Any, node: Node | None = None) -> Any:
    """Make a Tensor around an array, with no check and no copy."""
    result = _new(_result_type)
    result._data = data
    result._grad = None
    result.node = node
    result.name = None
    result.keeps_grad = False
    result.hooks = ()
    result.cut = ""
    return result


# The door


def apply(fn: Function, args: tuple[Any, ...], kwargs: Any = NO_KWARGS) -> Any:
    """Call ``fn(*args, **kwargs)`` on the arrays inside its Tensors; record the call if a gradient needs it.

    Tensors are found among the arguments and inside containers of them. Array results come back as Tensors
    (in containers where `fn` returns such), anything else as it is.

    Raises:
        NoGradientRule: an argument needs a gradient and `fn` has no rule for it.
    """
    state = current_state()
    trace = state.trace
    needed = has_containers = was_a_tensor = False
    arrays: list[Any] = []
    others = []  # positions of arrays that are not ours, or may not be
    for arg in args:
        if isinstance(arg, Recorded):
            if arg.node is None:
                others.append(len(arrays))
            else:
                needed = True
            arrays.append(arg._data if trace is None else trace.value(arg))
        elif type(arg) in LEAVES or children(arg) is None:
            if type(arg) is np.ndarray or type(arg) not in LEAVES:
                others.append(len(arrays))
            elif type(arg) is float and was_read(arg):
                was_a_tensor = True
            arrays.append(arg)
        elif isinstance(fn, np.ufunc):  # which takes lists for arrays
            return apply(fn, tuple(map(_as_array, args)), kwargs)
        else:
            needed, has_containers = needed or needs_gradient(arg), True
            others.append(len(arrays))
            arrays.append(unwrap(arg))
    if kwargs:
        if state.recording and needs_gradient(kwargs):
            return _apply_by_position(fn, args, kwargs)
        kwargs = {key: unwrap(value) for key, value in kwargs.items()}
    recipe = RULES.get(fn)
    run = fn if state.watch is None else state.watch.call(fn)
    if not (needed and state.recording):
        value = run(*arrays, **kwargs) if kwargs else run(*arrays)
        if others and not isinstance(fn, np.ufunc):
            value = apart(value, args)
        result = _wrapped(value[0] if recipe is not None and recipe.saves else value)
        if needed and isinstance(result, Recorded):
            result.cut = "no_grad"
        return result
    if recipe is None or len(recipe.vjps) < len(args):
        recipe = _checked_rule(fn, args)
        if recipe is CONSTANT or recipe.definition is not None:
            made = recipe.definition(*args, **kwargs) if recipe.definition else run(*arrays, **kwargs)
            return _wrapped(apart(made, args))
    if has_containers:  # the user's lists may change later, and the record must not
        args = tuple([tree_map(lambda leaf: leaf, arg) for arg in args])
    node = Node(fn, recipe, args, arrays, kwargs, state.scope)
    if was_a_tensor:
        warn_of_read(function_name(fn))
    if trace is None and (others or kwargs):
        keep(node, arrays, others)
    value = run(*arrays, **kwargs) if kwargs else run(*arrays)
    if others and not isinstance(fn, np.ufunc):
        value = apart(value, [arrays[i] for i in others if arrays[i] is args[i]])
    if recipe.saves:
        value, node.saved = value
    if type(value) is np.ndarray and value.dtype.kind == "f":  # `is_differentiable`, asked faster
        value.setflags(False)  # type: ignore[call-arg]
        return make(value, node)
    return _record_other(value, node)


# What goes in


def tensors_in(value: Any) -> list[Recorded]:
    """List the Tensors in an argument: itself, or what is inside its containers."""
    return [leaf for leaf in leaves(value) if isinstance(leaf, Recorded)]


def needs_gradient(value: Any) -> bool:
    """Tell whether an argument, or anything inside its containers, needs a gradient."""
    return any(tensor.node is not None for tensor in tensors_in(value))


def unwrap(value: Any) -> Any:
    """Replace every Tensor in an argument by its array."""
    return tree_map(lambda leaf: leaf.data if isinstance(leaf, Recorded) else leaf, value)


def _as_array(arg: Any) -> Any:
    """Turn a (nested) list of numbers or Tensors into an array or Tensor."""
    if isinstance(arg, (list, tuple)):
        return np.stack([_as_array(item) for item in arg]) if tensors_in(arg) else np.asarray(arg)
    return arg


def _checked_rule(fn: Function, args: tuple[Any, ...]) -> Rule:
    """Look up the rule for a function, and make sure that it covers the arguments that need a gradient."""
    recipe = RULES.get(fn)
    if recipe is None and "scipy.special" in sys.modules:
        from .rules import special  # noqa: F401  (its rules wait until somebody has imported SciPy's)

        recipe = RULES.get(fn)
    if recipe is not None and (
        recipe is CONSTANT or recipe.definition or recipe.each or not needs_gradient(args[len(recipe.vjps) :])
    ):
        return recipe
    raise no_rule(fn, recipe, max(i for i, arg in enumerate(args) if needs_gradient(arg)))


def _apply_by_position(fn: Function, args: tuple[Any, ...], kwargs: Any) -> Any:
    """Make a call whose keyword arguments need gradients (``np.sum(a=x)``) with positional ones instead."""
    recipe = RULES.get(fn)
    if recipe is not None and recipe.definition is not None:
        return _wrapped(recipe.definition(*args, **kwargs))
    if recipe is CONSTANT:
        return apply(fn, args, {key: unwrap(value) for key, value in kwargs.items()})
    try:
        bound = inspect.signature(fn).bind(*args, **kwargs)
    except (TypeError, ValueError):
        bound = None
    if bound is None or needs_gradient(bound.kwargs):
        wanted = next(key for key, value in kwargs.items() if needs_gradient(value))
        raise NoGradientRule(
            f"{function_name(fn)} has no gradient rule for its keyword argument {wanted!r}; pass "
            f"{wanted}.detach() if no gradient should flow into it, or write it with other functions"
        )
    return apply(fn, bound.args, bound.kwargs)


# What comes out


def _record_other(value: Any, node: Node) -> Any:
    """Record a result that is no array of floats: a scalar, several results, or nothing to differentiate."""
    if isinstance(value, Recorded):
        raise TypeError(
            f"{function_name(node.fn)} used a Tensor that is not among its arguments, and its gradient would "
            "be lost; give it to the function as an argument"
        )
    if children(value) is not None:  # one node for the whole, and a `pick` for each part
        whole = make(tuple(map(_own_view, leaves(value))), node)
        return rebuild(value, iter([apply(pick, (whole, i)) for i in range(len(whole._data))]))
    if not hasattr(value, "dtype"):
        value = np.asarray(value)
    if is_differentiable(value.dtype):
        return make(value, node)
    if value.dtype.kind in "cO":
        kind = "complex numbers" if value.dtype.kind == "c" else "Python objects (dtype=object)"
        raise TypeError(
            f"{function_name(node.fn)} gives {kind} here, and gradients are for real floating-point numbers; "
            "convert what it is given, with astype(float), or cut it off with detach()"
        )
    return _wrapped(value)


def _wrapped(value: Any) -> Any:
    """Wrap the array results of a call that is not recorded; leave anything else (shapes, ...) as it is."""
    if isinstance(value, Recorded):
        return value
    if type(value) is np.ndarray:
        value.setflags(False)  # type: ignore[call-arg]
        return make(value)
    parts = children(value)
    if parts is not None:
        return like(value, [_wrapped(_own_view(part)) for part in parts])
    return make(value) if isinstance(value, np.generic) or hasattr(value, "__array_function__") else value


def _own_view(part: Any) -> Any:
    """Return a view to lock, of one of several results: it may be one of the caller's own arrays."""
    return part.view() if type(part) is np.ndarray else part


def pick(parts: Any, index: int) -> Any:
    """Take one of the results of a function that returns several; its gradient is that of one place."""
    return parts[index]


rule(pick, lambda g, y, parts, index: {index: g})
LEAF = Node(pick, CONSTANT)  # stands for "no call: a gradient is wanted here", in every leaf
