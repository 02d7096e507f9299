"""Recording: every NumPy call on a Tensor passes through one door, `apply`, and leaves a `Node` behind.

A `Node` is one recorded call: the function, its arguments as the user gave them, and the arrays it was run
on. A Tensor holds the Node that made it; a Node never holds its own Tensor. So references point only
from results to arguments, there is no cycle, and a graph is freed the moment its loss is.
"""

import functools
import inspect
import itertools
import os
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar, overload

import numpy as np

from .rules import CONSTANT, REFUSED, RULES, Function, Rule, enter, rule

P = ParamSpec("P")
R = TypeVar("R")

NO_KWARGS: Any = {}  # shared, never written to
_serials = itertools.count()
_new = object.__new__


class _Internal(dict[str, bool]):
    """Which source files belong to this package: a recorded call names the user's line, not one of ours."""

    def __missing__(self, filename: str) -> bool:
        self[filename] = internal = filename.startswith(os.path.dirname(__file__) + os.sep)
        return internal


_internal = _Internal()


class State:
    """What this thread or task is doing: recording calls or not, inside which layers, transforms and capture.

    `outer` is the state around the innermost ``with`` block, to go back to. A state is never changed.
    """

    __slots__ = ("outer", "recording", "scope", "trace", "transforms")

    def __init__(
        self,
        recording: bool = True,
        scope: tuple[str, ...] = (),
        transforms: int = 0,
        trace: Any = None,
        outer: "State | None" = None,
    ):
        self.recording = recording
        self.scope = scope
        self.transforms = transforms
        self.trace = trace
        self.outer = outer


_state: ContextVar[State] = ContextVar("tinygrad_edu_state", default=State())  # noqa: B039 (never changed)


class Node:
    """One recorded call.

    `args` and `kwargs` are the call as it was made (with Tensors), `arrays` the positional arguments it was
    run on; `serial` counts calls, so that a call's serial is always above those of the calls that made its
    arguments; `scope` names the layers around it; `place` says where in the user's code it was made; `saved`
    is what the function handed over for its gradient rule, if it does so.
    """

    __slots__ = ("args", "arrays", "fn", "kwargs", "place", "rule", "saved", "scope", "serial")

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
        self.serial = next(_serials)
        frame: Any = sys._getframe(2)
        while _internal[frame.f_code.co_filename] and frame.f_back is not None:
            frame = frame.f_back
        self.place = frame.f_code, frame.f_lasti

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


def line_of(place: tuple[Any, int]) -> tuple[str, int]:
    """Return the file and line of an instruction in a code object."""
    code, instruction = place
    lines = [line for start, end, line in code.co_lines() if start <= instruction < end and line]
    return code.co_filename, lines[0] if lines else code.co_firstlineno


def users_place() -> tuple[Any, int]:
    """Return the innermost place in code that is not this package's, where the user made a call."""
    frame: Any = sys._getframe(1)
    while (_internal[frame.f_code.co_filename] or _numpys(frame)) and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def _numpys(frame: Any) -> bool:
    return bool(frame.f_globals.get("__name__", "").partition(".")[0] == "numpy")


def function_name(fn: Function) -> str:
    """Return how a user would write the function: ``np.matmul``, ``np.linalg.inv``, ``my_module.my_op``."""
    name = getattr(fn, "__name__", type(fn).__name__)
    module = getattr(fn, "__module__", None) or ""
    if isinstance(fn, np.ufunc):  # which do not know where they are from
        module = "numpy" if getattr(np, name, None) is fn else "scipy.special"
    if module.split(".")[0] == "numpy":
        return module.replace("numpy", "np", 1) + "." + name
    return name if module.startswith(("tinygrad_edu", "_operator")) else f"{module}.{name}".strip(".")


def next_serial() -> int:
    """Return a serial above those of all calls recorded so far, and below those of all calls to come."""
    return next(_serials)


class Recorded:
    """An array, the call that made it and its gradient: a `Tensor` without NumPy's operators and methods."""

    __slots__ = ("__weakref__", "cut", "data", "grad", "hooks", "keeps_grad", "name", "node")

    cut: str  # how it lost its way back to Tensors that need gradients: "detached", "no_grad", "jit" or ""

    data: Any
    grad: Any
    hooks: tuple[Callable[[Any], Any], ...]
    keeps_grad: bool
    name: str | None
    node: Node | None


_result_type: type[Recorded] = Recorded


def results_are(cls: type[Recorded]) -> None:
    """Tell the recorder which class to wrap results in (`Tensor` calls this once)."""
    global _result_type
    _result_type = cls


def make(data: Any, node: Node | None = None) -> Any:
    """Make a Tensor around an array, with no check and no copy."""
    result = _new(_result_type)
    result.data = data
    result.node = node
    result.grad = None
    result.name = None
    result.keeps_grad = False
    result.hooks = ()
    result.cut = ""
    return result


class NoGradientRule(TypeError):
    """Raised when a Tensor that needs a gradient meets a function without a gradient rule."""


def apply(fn: Function, args: tuple[Any, ...], kwargs: Any = NO_KWARGS) -> Any:
    """Call ``fn(*args, **kwargs)`` on the arrays inside its Tensors; record the call if a gradient needs it.

    Tensors are found among the arguments and inside lists and tuples of them. Array results come back as
    Tensors (several of them where `fn` returns a list or tuple), anything else as it is.

    Raises:
        NoGradientRule: an argument needs a gradient and `fn` has no rule for it.
    """
    state = _state.get()
    if state.trace is not None:
        state.trace.read(args, kwargs)
    needed = listed = False
    arrays = []
    for arg in args:
        if isinstance(arg, Recorded):
            if arg.node is not None:
                needed = True
            arrays.append(arg.data)
        elif type(arg) is list or type(arg) is tuple:
            if isinstance(fn, np.ufunc):  # which takes lists for arrays
                return apply(fn, tuple(map(_as_array, args)), kwargs)
            needed, listed = needed or needs_gradient(arg), True
            arrays.append(unwrap(arg))
        else:
            arrays.append(arg)
    if kwargs:
        if state.recording and needs_gradient(list(kwargs.values())):
            return _apply_by_position(fn, args, kwargs)
        kwargs = {key: unwrap(value) for key, value in kwargs.items()}
    recipe = RULES.get(fn)
    if not (needed and state.recording):
        value = fn(*arrays, **kwargs) if kwargs else fn(*arrays)
        result = _wrap(value[0] if recipe is not None and recipe.saves else value)
        if needed and isinstance(result, Recorded):
            result.cut = "no_grad"
        return result
    if recipe is None or len(recipe.vjps) < len(args):
        recipe = _checked_rule(fn, args)
        if recipe is CONSTANT:
            return _wrap(fn(*arrays, **kwargs))
        if recipe.definition is not None:
            return _wrap(recipe.definition(*args, **kwargs))
    if listed:  # the user's lists may change later, and the record must not
        args = tuple(map(_copied, args))
    node = Node(fn, recipe, args, arrays, kwargs, state.scope)
    value = fn(*arrays, **kwargs) if kwargs else fn(*arrays)
    if recipe.saves:
        value, node.saved = value
    if type(value) is np.ndarray and value.dtype.kind == "f":
        value.setflags(False)  # type: ignore[call-arg]
        return make(value, node)
    return _record_other(value, node)


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
    position = max(i for i, arg in enumerate(args) if needs_gradient(arg))
    raise NoGradientRule(_no_rule(fn, recipe, position))


def _apply_by_position(fn: Function, args: tuple[Any, ...], kwargs: Any) -> Any:
    """Make a call whose keyword arguments need gradients (``np.sum(a=x)``) with positional ones instead."""
    recipe = RULES.get(fn)
    if recipe is not None and recipe.definition is not None:
        return _wrap(recipe.definition(*args, **kwargs))
    if recipe is CONSTANT:
        return apply(fn, args, {key: unwrap(value) for key, value in kwargs.items()})
    return apply(fn, *_bind(fn, args, kwargs))


def _copied(arg: Any) -> Any:
    return [_copied(item) for item in arg] if type(arg) is list else arg


def _as_array(arg: Any) -> Any:
    """Turn a (nested) list of numbers or Tensors into an array or Tensor."""
    if isinstance(arg, (list, tuple)):
        return np.stack([_as_array(item) for item in arg]) if tensors_in(arg) else np.asarray(arg)
    return arg


def _record_other(value: Any, node: Node) -> Any:
    """Record a result that is no array of floats: a scalar, several results, or nothing to differentiate."""
    if isinstance(value, Recorded):
        raise TypeError(
            f"{function_name(node.fn)} used a Tensor that is not among its arguments, and its gradient would "
            "be lost; give it to the function as an argument"
        )
    if isinstance(value, (list, tuple)):  # one node for the whole, and a `pick` for each part
        whole = make(tuple(map(_own_view, value)), node)
        parts = (apply(pick, (whole, i)) for i in range(len(value)))
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if not hasattr(value, "dtype"):
        value = np.asarray(value)
    if value.dtype.kind == "f":
        return make(value, node)
    if value.dtype.kind == "c":
        raise TypeError(
            f"{function_name(node.fn)} gives complex numbers here, and gradients are for real numbers so far"
        )
    return _wrap(value)


def _wrap(value: Any) -> Any:
    """Wrap the array results of a call that is not recorded; leave anything else (shapes, ...) as it is."""
    if isinstance(value, Recorded):
        return value
    if type(value) is np.ndarray:
        value.setflags(False)  # type: ignore[call-arg]
        return make(value)
    if isinstance(value, (list, tuple)):
        parts = [_wrap(_own_view(part)) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return make(value) if isinstance(value, np.generic) or hasattr(value, "__array_function__") else value


def _own_view(part: Any) -> Any:
    """Return a view to lock, of one of several results: it may be one of the caller's own arrays."""
    return part.view() if type(part) is np.ndarray else part


def tensors_in(value: Any) -> list[Recorded]:
    """List the Tensors in an argument: itself, or inside its lists and tuples."""
    if isinstance(value, Recorded):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for item in value for t in tensors_in(item)]
    return []


def needs_gradient(value: Any) -> bool:
    """Tell whether an argument, or anything inside its lists and tuples, needs a gradient."""
    return any(t.node is not None for t in tensors_in(value))


def unwrap(value: Any) -> Any:
    """Replace every Tensor in an argument by its array."""
    if isinstance(value, Recorded):
        return value.data
    if isinstance(value, (list, tuple)):
        return type(value)(unwrap(item) for item in value)
    return value


def _bind(fn: Function, args: tuple[Any, ...], kwargs: Any) -> tuple[tuple[Any, ...], Any]:
    """Move the keyword arguments of a call to their positions, as far as they have one."""
    try:
        bound = inspect.signature(fn).bind(*args, **kwargs)
    except (TypeError, ValueError):
        bound = None
    if bound is None or needs_gradient(list(bound.kwargs.values())):
        wanted = next(key for key, value in kwargs.items() if needs_gradient(value))
        raise NoGradientRule(
            f"{function_name(fn)} has no gradient rule for its keyword argument {wanted!r}; pass "
            f"{wanted}.detach() if no gradient should flow into it, or write it with other functions"
        )
    return bound.args, bound.kwargs


def _no_rule(fn: Function, recipe: Rule | None, position: int) -> str:
    """Say which line would teach the table about `fn`."""
    name = function_name(fn)
    number = f"argument number {position + 1}"
    if fn in REFUSED:
        return f"{name} {REFUSED[fn]}"
    if recipe is not None:
        return f"{name} has no gradient rule for its {number}; give it tensor.detach() there"
    return (
        f"{name} has no gradient rule, and its {number} needs a gradient. Teach it one:  "
        f"tg.rule({name}, lambda g, y, {', '.join('abcdefgh'[: position + 1])}: ...)  "
        "where g is the gradient of the output y; or give it tensor.detach() if no gradient should flow"
    )


def pick(parts: Any, index: int) -> Any:
    """Take one of the results of a function that returns several."""
    return parts[index]


def primitive(
    *vjps: Function | None, elementwise: bool = False, saves: bool = False
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Turn a function of arrays, written in NumPy, into one recorded call with a gradient rule of its own.

    Each of `vjps` is a line ``vjp(g, y, *args)`` for the argument at its place, as in `rule`. In a picture
    the function is one node; on plain arrays it stays the plain function it was.

    A function with `saves` returns a pair: its result, and something costly that its rule can use again. The
    rule gets it as the keyword ``saved``, or None where it is to compute it anew, from Tensors, for gradients
    of gradients.

    >>> import tinygrad_edu as tg
    >>> @tg.primitive(lambda g, y, x: g * 3 * x * x)
    ... def cube(x):
    ...     return x * x * x
    >>> x = tg.Tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    Tensor(12.0)
    >>> cube(2.0)
    8.0
    """

    def decorate(fn: Callable[P, Any]) -> Callable[P, Any]:
        if not inspect.isroutine(fn) and not isinstance(fn, (type, functools.partial)):
            raise TypeError(
                "primitive takes the gradient rules first, and the function after them:  "
                "@tg.primitive(lambda g, y, x: ...)  above its def"
            )
        enter(fn, *vjps, elementwise=elementwise, saves=saves)

        @functools.wraps(fn)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            for arg in args:
                if isinstance(arg, Recorded):
                    return apply(fn, args, kwargs)
            if tensors_in([*args, *kwargs.values()]):
                return apply(fn, args, kwargs)
            return fn(*args, **kwargs)[0] if saves else fn(*args, **kwargs)

        return call

    return decorate


class Block:
    """A ``with`` block in which the state is another; blocks are left in the order opposite to entering."""

    __slots__ = ("change",)

    def __init__(self, change: Callable[[State], State]):
        self.change = change

    def __enter__(self) -> None:
        _state.set(self.change(_state.get()))

    def __exit__(self, *error: object) -> None:
        outer = _state.get().outer
        assert outer is not None, "left a block that was not entered here"
        _state.set(outer)


class inside(Block):  # noqa: N801 (used like no_grad)
    """Mark the calls made in a ``with`` block as made in a layer, which pictures draw as a box."""

    __slots__ = ("layer",)

    def __init__(self, layer: str):
        self.layer = layer

    def __enter__(self) -> None:
        now = _state.get()
        _state.set(State(now.recording, (*now.scope, self.layer), now.transforms, now.trace, now))


def transforming() -> Block:
    """Record the calls of a function under a transform (such as `grad`), and count transforms inside it."""
    return Block(lambda now: State(True, now.scope, now.transforms + 1, now.trace, now))


def recording_as(on: bool) -> Block:
    """Switch recording on or off in a ``with`` block."""
    return Block(lambda now: State(on, now.scope, now.transforms, now.trace, now))


def capturing(trace: Any) -> Block:
    """Hand the calls made in a ``with`` block to a trace, which writes them down (see `capture`)."""
    return Block(lambda now: State(now.recording, now.scope, now.transforms, trace, now))


def current_state() -> State:
    """Return what this thread or task is doing."""
    return _state.get()


def current_trace() -> Any:
    """Return the trace that calls made here and now are handed to, if there is one."""
    return _state.get().trace


def live(get: Callable[[], Any], name: str, of: Any = None) -> Any:
    """Return a number that may be another one each time; under capture it is asked for again on every call.

    >>> live(lambda: 0.1, "learning_rate")
    0.1
    """
    trace = _state.get().trace
    return get() if trace is None else trace.number(get, name, of)


def settled(get: Callable[[], R], of: Any = None) -> R:
    """Return a fact that decides what is computed; under capture, another answer makes another program.

    It is asked for again before every call; or, where it is a fact `of` an object that counts in its
    attribute `changes` how often it was changed, only when that count is another one.

    >>> settled(lambda: True)
    True
    """
    trace = _state.get().trace
    return get() if trace is None else trace.fact(get, of)


def at_hand(x: Any) -> Any:
    """Return the values of an array or Tensor, to check them; None where they are not computed yet (Dask).

    Under capture these are the values of the run that the program is made from: no other is checked.
    """
    data = x.data if isinstance(x, Recorded) else x
    data = getattr(data, "example", data)
    return data if type(data) is np.ndarray else None


class NotYet(Exception):
    """Raised under capture by what must be made first, such as parameters: this call is then not captured."""


def opaque(fn: Callable[P, R]) -> Callable[P, R]:
    """Have capture write down a call of `fn` as one call, and not look at what happens inside.

    For functions that write into arrays of their own, or call code that takes nothing but plain arrays. It
    must be a function of its arguments alone.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> @tg.primitive(lambda g, y, x: g * (x > 0))
    ... @tg.opaque
    ... def relu(x):
    ...     y = np.array(x)
    ...     y[y < 0] = 0
    ...     return y
    >>> tg.jit(tg.grad(lambda x: np.sum(relu(x))))(np.array([-1.0, 2.0]))
    array([0., 1.])
    """

    @functools.wraps(fn)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        trace = _state.get().trace
        if trace is None:
            return fn(*args, **kwargs)
        if tensors_in([*args, *kwargs.values()]):
            raise trace.refusal(
                f"an opaque function of a Tensor ({function_name(fn)})",
                "put  @tg.primitive(lambda g, y, x: ...)  above its  @tg.opaque,  or give it x.detach().data",
            )
        found: R = trace.call(fn, args, kwargs)
        return found

    return call


def inside_transform() -> bool:
    """Tell whether a transform is running here, to which results must stay connected."""
    return _state.get().transforms > 0


def is_recording() -> bool:
    """Tell whether calls on Tensors that need gradients are recorded here and now."""
    return _state.get().recording


class NoGrad(Block):
    """What `no_grad` returns: a ``with`` block that may be entered many times, and a decorator."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(recording_as(False).change)

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Return `fn` with its calls left unrecorded."""
        if (
            inspect.iscoroutinefunction(fn)
            or inspect.isgeneratorfunction(fn)
            or inspect.isasyncgenfunction(fn)
        ):
            raise TypeError(
                f"no_grad cannot decorate {fn.__name__}, whose body runs later, piece by piece; "
                "write  with no_grad():  inside it instead"
            )

        @functools.wraps(fn)
        def quiet(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return fn(*args, **kwargs)

        return quiet


@overload
def no_grad() -> NoGrad: ...
@overload
def no_grad(fn: Callable[P, R]) -> Callable[P, R]: ...
def no_grad(fn: Callable[P, R] | None = None) -> NoGrad | Callable[P, R]:
    """Stop recording: in a ``with`` block, or in a decorated function. Ends with the block, also on an error.

    It holds for the current thread and asyncio task only.

    >>> import tinygrad_edu as tg
    >>> w = tg.Tensor([1.0, 2.0], requires_grad=True)
    >>> with tg.no_grad():
    ...     (w * 2).requires_grad
    False
    >>> @tg.no_grad
    ... def predict(x):
    ...     return x * w
    >>> predict(3.0)
    Tensor([3., 6.])
    """
    return NoGrad() if fn is None else NoGrad()(fn)


rule(pick, lambda g, y, parts, index: tuple(g if i == index else None for i in range(len(parts))))
LEAF = Node(pick, CONSTANT)  # stands for "no call: a gradient is wanted here", in every leaf
