"""What all optimizers share: a learning rate, a memory for each parameter, and `apply`.

The one idea: an optimizer is a `rule` for one parameter (see `optimizers`); what is around it is done here:
the gradients are found and clipped, the parameters decayed, the steps counted, and the memories kept.
"""

import functools
import math
import operator
import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np

from ..declared import Note, Number, Versioned, advance, advanced, number
from ..rules.primitive import opaque
from ..state import current_trace
from ..tensor import Tensor
from ..tracing import NotYet
from .config import Configured

State: TypeAlias = tuple[Any, ...]
LearningRate: TypeAlias = float | Callable[[int], float]


class Memory:
    """What an optimizer remembers of one parameter: its state, in Tensors, and how many steps it has missed.

    Missed are the steps before this parameter came, and those without a gradient of it.
    """

    def __init__(self, owner: "weakref.ref[Tensor]", state: tuple[Tensor, ...], missed: int):
        self.owner = owner
        self.state = state
        self.missed = missed


class Positive(Number):
    """Declares a number from 0 up, or between 0 and `high`; None, where it is `optional`, leaves it out."""

    def __init__(self, high: float = math.inf, optional: bool = False):
        self.high, self.optional = high, optional

    def checked(self, value: Any) -> Any:
        """Return the number as Python's."""
        return value if value is None and self.optional else between(0, value, self.high, self.name)


class Count(Number):
    """Declares a whole number from 0 up."""

    def checked(self, value: Any) -> int:
        """Return the number as Python's."""
        return int(between(0, value, math.inf, self.name))


class Rate(Number):
    """Declares a learning rate: a number from 0 up, or a schedule."""

    def checked(self, value: Any) -> Any:
        """Return the schedule as it is, or the number as Python's."""
        rate = value if callable(value) else plain_number(value)
        if not callable(rate) and not 0 <= rate < math.inf:
            raise ValueError(f"learning_rate must be a number from 0 up, or a schedule, and is {value!r}")
        return rate


_optional = operator.itemgetter("clipnorm", "clipvalue", "global_clipnorm", "weight_decay")


class Optimizer(Versioned, Configured):
    """The base of all optimizers: a learning rate, a memory for each parameter, and `apply`.

    Args:
        learning_rate: how far a step goes: a positive number, or a schedule, which is called with the number
            of steps taken so far. It may be changed between steps.
        lr: a shorter name for `learning_rate`; give one of the two.
        weight_decay: the share of each parameter, times the learning rate, taken off before each step.
        clipnorm: the length that each parameter's gradient is cut to.
        clipvalue: the size that each element of a gradient is cut to.
        global_clipnorm: the length that all gradients together are cut to. Give one of the three at most.

    Raises:
        ValueError: both names of the learning rate, a negative number, or two ways of clipping.

    >>> from tinygrad_edu.nn import SGD
    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = SGD(learning_rate=0.5)
    >>> np.sum(w * w).backward()
    >>> optimizer.apply([w])
    >>> w, w.grad
    (Tensor([0., 0.], requires_grad=True), None)
    """

    start: tuple[float, ...] = ()  # what each part of a parameter's state is filled with at first
    state_names: tuple[str, ...] = ()  # what the parts are called in a captured program
    default_learning_rate = 0.001

    learning_rate = Rate()
    iterations = Count()  # how many steps have been taken
    clipnorm, clipvalue, global_clipnorm, weight_decay = (Positive(optional=True) for _ in range(4))
    _memories = Note()

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        *,
        lr: LearningRate | None = None,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ):
        if learning_rate is not None and lr is not None:
            raise ValueError(
                f"lr is another name for learning_rate; give one of them, not both ({lr}, {learning_rate})"
            )
        rates = (learning_rate, lr, self.default_learning_rate)
        self.learning_rate = next(rate for rate in rates if rate is not None)
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = [f"{name}={value}" for name, value in clips.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"gradients are clipped in one way at a time, and {', '.join(given)} were given")
        self.clipnorm, self.clipvalue, self.global_clipnorm = clips.values()
        self.weight_decay = weight_decay
        self.iterations = 0
        self._memories = {}

    @property
    def lr(self) -> LearningRate:
        """A shorter name for the learning rate."""
        rate: LearningRate = self.learning_rate
        return rate

    @lr.setter
    def lr(self, rate: LearningRate) -> None:
        self.learning_rate = rate

    def rule(self, param: Any, grad: Any, state: State, learning_rate: Any, step: Any) -> tuple[Any, State]:
        """Return the new parameter and the new state: plain arithmetic, on arrays or Tensors alike.

        Args:
            param: the parameter's values; not to be changed in place.
            grad: its gradient, in the same shape.
            state: what the rule returned last time; at first, arrays filled with the numbers in `start`.
            learning_rate: for this step.
            step: which step this is for the parameter, counted from 1.
        """
        raise NotImplementedError(
            f"{type(self).__name__} needs a method rule(self, param, grad, state, learning_rate, step) "
            "that returns new_param, new_state"
        )

    def apply(self, parameters: Iterable[Tensor]) -> None:
        """Move each parameter against its gradient, and forget the gradient. Without one, it is left alone.

        So is a parameter that was frozen with ``requires_grad = False``, even after `backward`.

        Raises:
            RuntimeError: none of the parameters has a gradient.
            TypeError: something else than a list of Tensors.
        """
        parameters, trace = _tensors(parameters), current_trace()
        if trace is not None:  # now, since a program depends on which memories there are
            for param in parameters:
                if param.grad is not None and param.node is not None and id(param) not in self._memories:
                    self._remember(param)
        before = self.changes
        moved = self._move_all(parameters, self._rate())
        if len(moved) < len(self._memories):
            for memory in set(self._memories.values()).difference(moved):
                advance(memory, "missed")
            advance(self, "changes")  # how many steps parameters have missed in common is another fact
        advance(self, "iterations")
        if trace is not None:
            self.declare(before)
            trace.fact(functools.partial(_arrangement, moved, self._memories), self)

    def _move_all(self, parameters: list[Tensor], rate: Any) -> list[Memory]:
        """Move what has a gradient; return the memories of what was moved."""
        plain = _optional(vars(self)) == (None,) * 4  # as most are; that one is None is a setting
        if not plain and (self.clipnorm or self.clipvalue or self.global_clipnorm):
            self._clip([p for p in parameters if p.grad is not None and p.node is not None])
        moved: list[Memory] = []
        shrinkage = None if plain or not self.weight_decay else self.weight_decay * rate
        steps: dict[Any, Any] = {}  # the number of this step, by how many were missed
        tracing, memories = current_trace() is not None, self._memories
        for param in parameters:
            gradient = param.grad
            if gradient is None or param.node is None:
                continue
            memory = memories.get(id(param)) or self._remember(param)
            missed: Any = memory.missed
            if tracing:
                missed = missed, advanced(memory, "missed")
            if missed not in steps:
                steps[missed] = self.iterations + 1 - (number(memory, "missed") if tracing else missed)
            self._move(param, gradient.data, memory, (rate, steps[missed], shrinkage))
            param.grad = None
            moved.append(memory)
        if not moved:
            raise RuntimeError(
                "none of the parameters has a gradient; call loss.backward() before apply, and check that "
                "the loss was computed from them and that they are not frozen (requires_grad)"
            )
        return moved

    def _rate(self) -> Any:
        """Return the learning rate for this step."""
        rate = self.learning_rate
        return scheduled(rate, self.iterations) if callable(rate) else rate

    def _move(self, param: Tensor, gradient: Any, memory: Memory, numbers: tuple[Any, Any, Any]) -> None:
        """Run the rule for one parameter, by a learning rate, the number of its step, and its shrinkage."""
        values, state = param.data, memory.state
        rate, step, shrinkage = numbers
        if shrinkage is not None:
            values = values - values * shrinkage
        arrays = tuple([part.data for part in state]) if state else state
        result = self.rule(values, gradient, arrays, rate, step)
        if type(result) is not tuple or len(result) != 2 or type(result[1]) is not tuple:
            raise _wrong_result(self, result)
        values, remembered = result
        if remembered is not state:  # as plain gradient descent returns it, which has none
            if len(remembered) != len(state):  # a momentum, say, that was 0 so far, or is from now on
                more = self._states(param, (0.0,) * len(remembered), len(state))
                memory.state = state = (*state, *more)[: len(remembered)]
                if current_trace() is not None:  # the step reads them, on every call
                    self._move(param, gradient, memory, numbers)
                    return
                self.changed()
            for part, new in zip(state, remembered, strict=True):
                _give(part, new)
        _give(param, values)

    def _remember(self, param: Tensor) -> Memory:
        """Start a memory for a parameter, which ends with it."""
        if advanced(self, "iterations"):  # in the middle of a program, which will find it from its beginning
            raise NotYet
        key, memories = id(param), self._memories
        owner = weakref.ref(param, lambda _: memories.pop(key, None))
        self.changed()
        memories[key] = memory = Memory(owner, self._states(param, self.start), vars(self)["iterations"])
        return memory

    def _states(self, param: Tensor, values: tuple[float, ...], first: int = 0) -> tuple[Tensor, ...]:
        """Make Tensors like a parameter for parts of its state, filled with what these start from."""
        numbers = range(1, len(values) + 1)
        named = len(self.state_names) >= len(values)
        names = self.state_names if named else [f"state_{i}" for i in numbers]
        filled = [np.full_like(param.data, value) for value in values]
        return tuple(
            Tensor(array, name=f"{param.name}.{name}" if param.name else name)
            for array, name in list(zip(filled, names, strict=False))[first:]
        )

    def __getstate__(self) -> dict[str, Any]:
        """Say what a copy or a pickle holds: memories together with their parameters, not with their ids.

        A deep copy of a model therefore trains on as the model would, and `copy.copy` of an optimizer goes on
        with the same parameters. A deep copy of an optimizer alone would be for parameters nobody has.
        """
        memories = list(self._memories.values())
        kept = [(memory.owner(), memory.missed, memory.state) for memory in memories]
        return {**vars(self), "_memories": [memory for memory in kept if memory[0] is not None]}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        vars(self).update({**saved, "_memories": {}})
        for param, missed, state in saved["_memories"]:
            memory = self._remember(param)
            memory.missed, memory.state = missed, tuple(Tensor(part) for part in state)

    def _clip(self, parameters: list[Tensor]) -> None:
        """Cut gradients down to the size asked for."""
        gradients: list[Any] = [param.grad for param in parameters]
        if self.clipvalue:
            clipped = [np.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        else:
            squares = [np.vdot(g.data, g.data) for g in gradients]
            if self.global_clipnorm:
                squares = [functools.reduce(np.add, squares)] * len(squares)
            limit: Any = self.clipnorm or self.global_clipnorm
            shares = [limit / np.maximum(np.sqrt(square), limit) for square in squares]
            clipped = [g * share for g, share in zip(gradients, shares, strict=True)]
        for param, gradient in zip(parameters, clipped, strict=True):
            param.grad = gradient

    def state_dict(self, parameters: Iterable[Tensor]) -> dict[str, Any]:
        """Return all that is remembered, for `load_state_dict`: steps taken and the states of `parameters`.

        Raises:
            TypeError: something else than a list of Tensors.

        >>> from tinygrad_edu.nn import SGD
        >>> w = Tensor([1.0], requires_grad=True)
        >>> SGD(0.1, momentum=0.9).state_dict([w])
        {'iterations': 0, 'states': [(0, ())]}
        """
        memories = [self._memories.get(id(param)) for param in _tensors(parameters)]
        states = [
            (self.iterations - memory.missed, tuple(part.data for part in memory.state))
            if memory
            else (0, ())
            for memory in memories
        ]
        return {"iterations": self.iterations, "states": states}

    def load_state_dict(self, saved: dict[str, Any], parameters: Iterable[Tensor]) -> None:
        """Take up where `state_dict` left off, for the same parameters or others like them, in their order.

        Raises:
            ValueError: the states do not fit the parameters.
            TypeError: something else than a list of Tensors.
        """
        parameters, states = _tensors(parameters), saved["states"]
        if len(states) != len(parameters):
            raise ValueError(
                f"these are states of {len(states)} parameters, and {len(parameters)} were given"
            )
        for param, (_, state) in zip(parameters, states, strict=True):
            if any(np.shape(part) != param.shape for part in state):
                raise ValueError(f"a state of shape {np.shape(state[0])} does not fit one of {param.shape}")
        self.iterations = saved["iterations"]
        for param, (steps, state) in zip(parameters, states, strict=True):
            memory = self._memories.get(id(param)) or self._remember(param)
            memory.missed = self.iterations - int(steps)
            memory.state = tuple(Tensor(part, dtype=param.dtype) for part in state) if steps else memory.state
        self.changed()


def _wrong_result(optimizer: Optimizer, result: Any) -> TypeError:
    """Say what is wrong with what a rule returned."""
    kind = type(result).__name__
    if isinstance(result, tuple):
        kind = f"({', '.join(type(part).__name__ for part in result)})"
    return TypeError(
        f"rule of {type(optimizer).__name__} must return two things, the new parameter and the new state, a "
        f"tuple; it returned {kind}; write  return new_param, state  or  return new_param, (velocity,)"
    )


@opaque
def scheduled(schedule: Callable[[int], float], step: int) -> float:
    """Return the learning rate that a schedule has for a step; a captured program makes this call as one."""
    return float(schedule(step))


def _arrangement(moved: list[Memory], memories: dict[int, Memory]) -> Any:
    """Tell which parameters have missed equally many steps, what holds their states, who may miss some."""
    first: dict[int, int] = {}
    alike = [first.setdefault(memory.missed, i) for i, memory in enumerate(moved)]
    return alike, [list(map(id, memory.state)) for memory in moved], list(memories)


def _give(param: Tensor, values: Any) -> None:
    """Give a Tensor new values, which are used nowhere else, so that they need not be copied."""
    old = param.data
    if type(values) is np.ndarray and values.base is None and type(old) is np.ndarray:
        values.setflags(False)  # type: ignore[call-arg]
        if values.dtype is old.dtype and values.shape == old.shape:
            param._data = values  # not under a trace, where `old` is none of NumPy's
            return
    param.assign(values)


def _tensors(parameters: Any) -> list[Tensor]:
    """Return parameters as a list, after checking that Tensors are what it holds."""
    if isinstance(parameters, Tensor):
        raise TypeError(
            "an optimizer takes a list of parameters, and got a single Tensor w; write apply([w])"
        )
    if type(parameters) is not list and hasattr(parameters, "parameters"):
        raise TypeError(
            f"an optimizer takes a list of parameters, and got a {type(parameters).__name__}; "
            "write apply(model.parameters)"
        )
    listed: list[Tensor] = list(parameters)
    for param in listed:
        if not isinstance(param, Tensor):
            raise TypeError(
                f"an optimizer moves Tensors, and got a {type(param).__name__}; make the parameter with "
                "w = Tensor(values, requires_grad=True), and write apply([w])"
            )
    return listed


def plain_number(value: Any) -> float:
    """Return a number as Python's, which leaves float32 arrays float32; what is no number becomes nan."""
    try:
        return math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        return math.nan


def between(low: float, value: Any, high: float, name: str) -> float:
    """Return a number as Python's, after checking that it is one and lies between two others."""
    number = plain_number(value)
    if not low <= number <= high:
        bounds = f"from {low} up" if high == math.inf else f"between {low} and {high}"
        raise ValueError(f"{name} must be a number {bounds}, and is {value!r}")
    return number
