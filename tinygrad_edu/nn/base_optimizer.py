"""What all optimizers share: a learning rate, a memory for each parameter, and `apply`.

The one idea: an optimizer is a `rule` for one parameter (see `optimizers`); what is around it is done here:
the gradients are found and clipped, the parameters decayed, the steps counted, and the memories kept.
"""

import functools
import math
import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np

from ..recording import current_trace, live
from ..tensor import Tensor
from .changing import Changing

State: TypeAlias = tuple[Any, ...]
LearningRate: TypeAlias = float | Callable[[int], float]


class Memory:
    """What an optimizer remembers of one parameter: its state, in Tensors, and which steps it has missed."""

    __slots__ = ("missed", "owner", "state")

    def __init__(self, owner: "weakref.ref[Tensor]", state: tuple[Tensor, ...], missed: int):
        self.owner = owner
        self.state = state
        self.missed = missed  # steps: those before this parameter came, and those without a gradient of it


class Done:
    """What an optimizer has done in one step of training: how often it moved which parameters.

    `together` is how many parameters moved every time, and 0 if some moved more often than others.
    """

    __slots__ = ("moves", "steps", "together")

    def __init__(self) -> None:
        self.steps = self.together = 0
        self.moves: list[Memory] = []

    def add(self, moved: list[Memory]) -> None:
        """Note one more time."""
        same = not self.steps or (self.together == len(moved) and set(moved) <= set(self.moves))
        self.together = len(moved) if same else 0
        self.steps += 1
        self.moves += moved


class Optimizer(Changing):
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
    live = ("iterations", "_iterations", "learning_rate", "lr", "_learning_rate")
    books = ("_memories",)
    state_names: tuple[str, ...] = ()  # what the parts are called in a captured program
    default_learning_rate = 0.001

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
        sizes = {**clips, "weight_decay": weight_decay}
        checked = {n: v if v is None else between(0, v, math.inf, n) for n, v in sizes.items()}
        self.clipnorm, self.clipvalue, self.global_clipnorm, self.weight_decay = checked.values()
        self._iterations = 0
        self._memories: dict[int, Memory] = {}

    @property
    def iterations(self) -> int:
        """How many steps have been taken."""
        steps: int = live(lambda: self._iterations, "iterations", self)
        return steps

    @iterations.setter
    def iterations(self, steps: int) -> None:
        self._iterations = steps

    @property
    def learning_rate(self) -> LearningRate:
        """How far a step goes: a number, or a function of the number of steps taken so far."""
        if callable(self._learning_rate):
            return self._learning_rate
        rate: float = live(lambda: self._learning_rate, "learning_rate", self)
        return rate

    @learning_rate.setter
    def learning_rate(self, rate: LearningRate) -> None:
        if not callable(rate):
            number = plain_number(rate)
            if not 0 <= number < math.inf:
                raise ValueError(f"learning_rate must be a number from 0 up, or a schedule, and is {rate!r}")
            rate = number
        self._learning_rate = rate

    lr = learning_rate

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
        parameters = _tensors(parameters)
        trace = current_trace()
        if trace is not None:
            self._apply_under_capture(trace, parameters)
            return
        moved = self._move_all(parameters, self, self._rate())
        vars(self)["_iterations"] += 1
        if len(moved) < len(self._memories):
            for memory in set(self._memories.values()).difference(moved):
                memory.missed += 1
            self.changed()

    def _apply_under_capture(self, trace: Any, parameters: list[Tensor]) -> None:
        """Do what `apply` does with numbers that are read anew on every call, and note what it depends on."""
        this = self._under_capture(trace, parameters)
        before = this.changes
        done = trace.applied.setdefault(id(self), Done())
        rate = live(functools.partial(self._rate, done.steps), "learning_rate")
        moved = self._move_all(parameters, this, rate)
        for memory in moved:
            trace.fact(functools.partial(_identities, memory), self)
        this.refuse_changes(trace, before)
        trace.fact(self._constants, self)
        trace.fact(functools.partial(_partition, moved), self)
        if not done.steps:
            trace.effects.append(functools.partial(self._counted, done))
        done.add(moved)

    def _move_all(self, parameters: list[Tensor], this: "Optimizer", rate: Any) -> list[Memory]:
        """Move what has a gradient, by the numbers of `this`: the optimizer, or a stand-in of its own."""
        if this.clipnorm or this.clipvalue or this.global_clipnorm:
            this._clip([p for p in parameters if p.grad is not None and p.node is not None])
        moved: list[Memory] = []
        for param in parameters:
            gradient = param.grad
            if gradient is None or param.node is None:
                continue
            memory = self._memories.get(id(param)) or self._remember(param)
            this._move(param, gradient.data, memory, rate, this._step_of(memory))
            param.grad = None
            moved.append(memory)
        if not moved:
            raise RuntimeError(
                "none of the parameters has a gradient; call loss.backward() before apply, and check that "
                "the loss was computed from them and that they are not frozen (requires_grad)"
            )
        return moved

    def _step_of(self, memory: Memory, ahead: int = 0) -> Any:
        """Return which step of a parameter comes next, after `ahead` that are not counted yet."""
        return self._iterations + 1 - memory.missed + ahead

    def _rate(self, ahead: int = 0) -> float:
        """Return the learning rate for this step."""
        rate = self._learning_rate
        return float(rate(self._iterations + ahead)) if callable(rate) else rate

    def _counted(self, done: "Done") -> Callable[[], None]:
        """Return what counts the steps taken, and for parameters that did not move those missed.

        Calling that again changes nothing, so that it can be completed after an interruption.
        """
        iterations = self._iterations + done.steps
        missed = []
        if done.together != len(self._memories):
            memories = self._memories.values()
            missed = [(m, m.missed + done.steps - done.moves.count(m)) for m in memories]

        def count() -> None:
            vars(self)["_iterations"] = iterations
            for memory, steps in missed:
                memory.missed = steps
            if missed:
                self.changed()

        return count

    def _move(self, param: Tensor, gradient: Any, memory: Memory, rate: Any, step: Any) -> None:
        """Run the rule for one parameter."""
        values, state = param.data, memory.state
        if self.weight_decay:
            values = values - values * (self.weight_decay * rate)
        arrays = tuple([part.data for part in state]) if state else state
        result = self.rule(values, gradient, arrays, rate, step)
        if type(result) is not tuple or len(result) != 2 or type(result[1]) is not tuple:
            raise _wrong_result(self, result)
        values, remembered = result
        if remembered is not state:  # as plain gradient descent returns it, which has none
            if len(remembered) != len(state):  # a momentum, say, that was 0 so far
                memory.state = state = (*state, *self._states(param, (0.0,) * len(remembered), len(state)))
                trace = current_trace()
                if trace is not None:  # the step reads them, on every call
                    trace.read(state)
                    self._move(param, gradient, memory, rate, step)
                    return
                self.changed()
            for part, new in zip(state, remembered, strict=True):
                _give(part, new)
        _give(param, values)

    def _under_capture(self, trace: Any, parameters: list[Tensor]) -> "Optimizer":
        """Return a stand-in whose numbers are read anew on every call of a captured program."""
        trace.read(parameters)
        done = trace.applied.get(id(self)) or Done()
        steps: dict[tuple[int, int], Any] = {}
        numbers: dict[Memory, Any] = {}
        for param in parameters:
            if param.grad is None:
                continue
            memory = self._memories.get(id(param)) or self._remember(param)
            trace.read(memory.state)
            ahead = done.moves.count(memory)
            key = memory.missed, ahead
            if key not in steps:
                steps[key] = live(functools.partial(self._step_of, memory, ahead), "step")
            numbers[memory] = steps[key]
        this: Optimizer = object.__new__(type(self))
        vars(this).update(vars(self))
        for name, value in vars(self).items():
            if type(value) is float and name not in self.live:
                vars(this)[name] = live(functools.partial(getattr, self, name), name, self)
        vars(this)["_step_of"] = numbers.__getitem__
        return this

    def _constants(self) -> dict[str, Any]:
        """Return the settings that are no numbers to read anew."""
        return {name: value for name, value in self.settings().items() if type(value) is not float}

    def _remember(self, param: Tensor) -> Memory:
        """Start a memory for a parameter, which ends with it."""
        key, memories = id(param), self._memories
        owner = weakref.ref(param, lambda _: memories.pop(key, None))
        memories[key] = Memory(owner, self._states(param, self.start), self._iterations)
        return memories[key]

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

        >>> from tinygrad_edu.nn import SGD
        >>> w = Tensor([1.0], requires_grad=True)
        >>> SGD(0.1, momentum=0.9).state_dict([w])
        {'iterations': 0, 'states': [(0, ())]}
        """
        memories = [self._memories.get(id(param)) for param in _tensors(parameters)]
        states = [
            (self._iterations - memory.missed, tuple(part.data for part in memory.state))
            if memory
            else (0, ())
            for memory in memories
        ]
        return {"iterations": self.iterations, "states": states}

    def load_state_dict(self, saved: dict[str, Any], parameters: Iterable[Tensor]) -> None:
        """Take up where `state_dict` left off, for the same parameters or others like them, in their order.

        Raises:
            ValueError: the states do not fit the parameters.
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
            memory.missed = self.iterations - steps
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


def _partition(memories: list[Memory]) -> list[int]:
    """Tell which parameters have taken equally many steps: they share a number of the step."""
    first: dict[int, int] = {}
    return [first.setdefault(memory.missed, i) for i, memory in enumerate(memories)]


def _identities(memory: Memory) -> list[int]:
    """Tell the Tensors that hold a state from others that may take their place."""
    return list(map(id, memory.state))


def _give(param: Tensor, values: Any) -> None:
    """Give a Tensor new values, which are used nowhere else, so that they need not be copied."""
    old = param.data
    if type(values) is np.ndarray and values.base is None and type(old) is np.ndarray:
        values.setflags(False)  # type: ignore[call-arg]
        if values.dtype is old.dtype and values.shape == old.shape:
            param.data = values
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
    """Return a number as Python's, which leaves float32 arrays float32; what is none becomes nan."""
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
