"""State: what this thread or task is doing: recording calls or not, in which layers, under which transforms.

The one idea: a piece of work that needs another state is *called* in one (`call_in`), in a context of its
own that Python leaves together with the call. So nothing that goes wrong on the way, an interrupt at any
moment included, can leave the state of whoever called changed.
"""

import functools
import inspect
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any, ParamSpec, Protocol, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")


class Trace(Protocol):
    """What writes calls down. A Tensor from outside is never changed: it has other values under the trace."""

    def value(self, tensor: Any) -> Any:
        """Return the array that a Tensor has under this trace."""

    def assign(self, tensor: Any, value: Any) -> None:
        """Give a Tensor another array under this trace."""

    def gradient(self, tensor: Any) -> Any:
        """Return the gradient that a Tensor has under this trace: a Tensor or None."""

    def assign_gradient(self, tensor: Any, gradient: Any) -> None:
        """Give a Tensor another gradient under this trace."""

    def differentiate(self, vertex: Any, total: Any) -> None:
        """Hear that the gradient of a recorded value is complete, and that its rule runs next."""

    def example(self, value: Any) -> Any:
        """Return the value of the run that the program is made from."""

    def draw(self, generator: Callable[[], Any], method: str, args: Any) -> Any:
        """Write down a drawing of random numbers, which is made anew on every call."""

    def number(self, owner: Any, name: str) -> Any:
        """Return what stands for a number among an object's attributes, which is read anew on each call."""

    def advance(self, owner: Any, name: str) -> None:
        """Count up such a number, on each call."""

    def advanced(self, owner: Any, name: str) -> int:
        """Return how often such a number has been counted up so far."""

    def fact(self, get: Callable[[], R], of: Any = None) -> R:
        """Note a fact that decides what is computed: another answer takes another program."""

    def refusal(self, what: str, instead: str) -> Exception:
        """Return the error for what cannot be captured."""


class State:
    """Whether calls are recorded, in which layers (`scope`), under how many transforms, for which `trace`.

    `watch` looks at what calls make, where somebody asked for that (see `anomaly`). `outer` is the state
    around the innermost ``with`` block, to go back to. A state is never changed.
    """

    __slots__ = ("outer", "recording", "scope", "trace", "transforms", "watch")

    def __init__(
        self,
        recording: bool = True,
        scope: tuple[str, ...] = (),
        transforms: int = 0,
        trace: Trace | None = None,
        watch: Any = None,
        outer: "State | None" = None,
    ):
        self.recording = recording
        self.scope = scope
        self.transforms = transforms
        self.trace = trace
        self.watch = watch
        self.outer = outer


_state: ContextVar[State] = ContextVar("tinygrad_edu_state", default=State())  # noqa: B039 (never changed)
current_state = _state.get


def current_trace() -> Trace | None:
    """Return the trace that calls made here and now are handed to (see `capture`), if there is one."""
    return _state.get().trace


def is_recording() -> bool:
    """Tell whether calls on Tensors that need gradients are recorded here and now."""
    return _state.get().recording


def inside_transform() -> bool:
    """Tell whether a transform (such as `grad`) is running here, to which results must stay connected."""
    return _state.get().transforms > 0


# Calls in another state


def call_in(state: State, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in another state, which ends with the call."""
    result: R = _run(copy_context(), _set_and_call, state, fn, *args, **kwargs)
    return result


def _run(context: Context, fn: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a function in a context, and hand back what it has set for others, such as ``np.seterr``.

    Not after an interrupt, which may have left blocks of ours open.
    """
    try:
        result = context.run(fn, *args, **kwargs)
    except Exception:
        _hand_back(context)
        raise
    _hand_back(context)
    return result


def _hand_back(context: Context) -> None:
    for variable, value in context.items():
        if variable is not _state and variable.get(_state) is not value:  # which is no value of another
            variable.set(value)


def _set_and_call(state: State, fn: Any, *args: Any, **kwargs: Any) -> Any:
    _state.set(state)
    return fn(*args, **kwargs)


def call_recording(on: bool, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function with recording switched on or off."""
    now = _state.get()
    return call_in(State(on, now.scope, now.transforms, now.trace, now.watch), fn, *args, **kwargs)


def call_inside(layer: str, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call what a layer does; pictures draw the calls that are made there as a box."""
    now = _state.get()
    state = State(now.recording, (*now.scope, layer), now.transforms, now.trace, now.watch)
    return call_in(state, fn, *args, **kwargs)


def call_transforming(fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function under a transform: its calls are recorded, and transforms inside it stay connected."""
    now = _state.get()
    return call_in(State(True, now.scope, now.transforms + 1, now.trace, now.watch), fn, *args, **kwargs)


def call_traced(trace: Trace, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function whose calls are handed to a trace, which writes them down."""
    now = _state.get()
    return call_in(State(now.recording, now.scope, now.transforms, trace, now.watch), fn, *args, **kwargs)


def contained(fn: Callable[P, R]) -> Callable[P, R]:
    """Let a function run in a context of its own: a state that it sets ends with the call."""

    @functools.wraps(fn)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        result: R = _run(copy_context(), fn, *args, **kwargs)
        return result

    return call


# Blocks for users


class Block:
    """A ``with`` block in which the state is another; blocks are left in the order opposite to entering."""

    __slots__ = ()

    def changed(self, now: State) -> State:
        """Return the state inside the block."""
        raise NotImplementedError

    def __enter__(self) -> None:
        _state.set(self.changed(_state.get()))

    def __exit__(self, *error: object) -> None:
        outer = _state.get().outer
        if outer is None:
            raise RuntimeError(
                "left a block (no_grad or scope) that was not entered here: a function under grad, jit or "
                "fit has a context of its own, so that a block begins and ends inside it or outside"
            )
        _state.set(outer)


class scope(Block):  # noqa: N801 (used like no_grad)
    """Give the calls made in a ``with`` block a name, under which pictures draw them as a box.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> w = tg.Tensor([1.0, 2.0], requires_grad=True)
    >>> with tg.scope("square"):
    ...     y = w * w
    >>> y.node.scope
    ('square',)
    """

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name

    def changed(self, now: State) -> State:
        """Return the state inside the block."""
        return State(now.recording, (*now.scope, self.name), now.transforms, now.trace, now.watch, now)


class NoGrad(Block):
    """What `no_grad` returns: a ``with`` block that may be entered many times, and a decorator."""

    __slots__ = ()

    def changed(self, now: State) -> State:
        """Return the state inside the block."""
        return State(False, now.scope, now.transforms, now.trace, now.watch, now)

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
            return call_recording(False, fn, *args, **kwargs)

        return quiet


@overload
def no_grad() -> NoGrad: ...
@overload
def no_grad(fn: Callable[P, R]) -> Callable[P, R]: ...
def no_grad(fn: Callable[P, R] | None = None) -> NoGrad | Callable[P, R]:
    """Stop recording: in a ``with`` block, or in a decorated function. Ends with the block, also on an error.

    It holds for the current thread and asyncio task only. An interrupt (Ctrl-C) ends a decorated function in
    any case. A ``with`` block can be missed by one that comes in the microsecond in which Python enters or
    leaves it.

    Raises:
        TypeError: a coroutine or generator to decorate, whose body runs later.

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
