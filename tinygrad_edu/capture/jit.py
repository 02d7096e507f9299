"""`jit`: run a function as the NumPy program that its first run was turned into.

One program serves one kind of arguments: their shapes, dtypes and memory layouts, and everything that is not an
array. A call looks up the program, checks that the world outside is as it was, reads the Tensors' values of
now, runs the program, and then changes what the function changes, all of it or, after an error, nothing.
"""

import functools
import inspect
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from sys import getrefcount
from typing import Any, ParamSpec, TypeVar, overload

import numpy as np

from ..recording import LEAF, Recorded, current_state, is_recording, make
from ..transforms import _forgetful_node, leaves, rebuild
from .emit import Emitted, emit
from .program import Program, build
from .report import Report, describe
from .trace import PLAIN, CaptureError, Foreign, Trace, Traced, trace
from .watch import checker, links, tensors_below

P = ParamSpec("P")
R = TypeVar("R")

PROGRAMS = 64  # kept at a time; the one not used for longest goes first
THRASHING = 8  # programs made in as many calls: time to warn


class Prepared:
    """A program, compiled, with all that it takes to call it.

    `run` takes the arrays and numbers among the arguments, and returns what the function returns. `fits` tells
    in one test whether arguments are of the kind that the program is for; None where that takes a closer look.
    """

    def __init__(
        self,
        program: Program,
        emitted: Emitted,
        template: Any,
        unchanged: Callable[[], bool],
        fits: Callable[..., bool] | None,
    ):
        self.program, self.emitted = program, emitted
        self.unchanged, self.fits, self.recording = unchanged, fits, is_recording()
        self.run = _driver(program, emitted, template)


def _driver(program: Program, emitted: Emitted, template: Any) -> Callable[..., Any]:
    """Write the function around a program: it reads what the program reads, runs it, and changes what changes.

    Written out for each program, because a loop over what there is to do takes as long as NumPy's calls do.
    """
    world: dict[str, Any] = {"pool": [], "make": emitted.make, "tensor": _tensor, "copy": np.array}
    world["held"] = getrefcount
    given: dict[int, str] = {}
    args: list[str] = []

    def name(value: Any) -> str:
        key = f"v{len(world)}"
        world[key] = value
        return key

    for value in emitted.arguments:
        kind, origin = program.inputs[value]
        if kind == "argument":
            args.append(given.setdefault(origin, f"a{origin}"))
        else:
            ends = {"tensor": ".data", "grad": ".grad.data", "number": "()"}
            args.append(name(origin) + ends[kind])
    reading, moving, locks = [], [], []
    for i, (residence, now, new) in enumerate(zip(program.residences, emitted.now, emitted.new, strict=True)):
        home = name(residence.home)
        locks.append(residence.home.lock)
        reading.append(f"now{i}, new{i} = {home}.now, {home}.spare")
        reading.append(f"if sum(map(held, new{i}.watched)) != new{i}.alone or not {home}.at_home():")
        reading.append(f" now{i}, new{i} = {home}.ready()")
        moving.append(f"{home}.swap(now{i}, new{i})")
        for pack, numbers in ((f"now{i}", now), (f"new{i}", new)):
            names = [f"{pack}_{number}" for number in numbers]
            reading.append(f"{''.join(f'{n}, ' for n in names)} = {pack}.chosen.get({numbers!r}) or {pack}.choose({numbers!r})")
            args += names
    after = [_settling(tensor, value, name, emitted) for tensor, value in program.gradients]
    after += [f"{name(effect)}()" for effect in program.effects]
    body = [*reading, "step = pool.pop() if pool else make()", f"results = step({', '.join(args)})"]
    body.append("pool.append(step)")
    if moving:
        body += ["try:", *(f" {line}" for line in moving), "except BaseException:"]
        body += [*(f" {line}" for line in moving), " raise"]
    body += [*after, f"return {_spelled(template, name, emitted)}"]
    for lock in dict.fromkeys(locks):
        body = [f"with {name(lock)}:", *(f" {line}" for line in body)]
    text = "def run(given):\n" + "".join(f" {line}\n" for line in _unpacked(given, body))
    world["text"] = text
    exec(text, world)
    run: Callable[..., Any] = world["run"]
    return run


def _unpacked(given: dict[int, str], body: list[str]) -> list[str]:
    """Begin a driver with names for what it is given."""
    return [f"{text} = given[{i}]" for i, text in given.items()] + body


def _settling(tensor: Any, value: Any, name: Callable[[Any], str], emitted: Emitted) -> str:
    """Write the line that gives a Tensor its new gradient."""
    if type(value) is Traced:
        return f"{name(tensor)}.grad = tensor(copy(results[{emitted.outputs[value]}]), None)"
    return f"{name(tensor)}.grad = {'None' if value is None else f'tensor(copy({name(value)}), None)'}"


def _spelled(result: Any, name: Callable[[Any], str], emitted: Emitted) -> str:
    """Write the expression for what a call gives back."""
    if isinstance(result, _Out):
        value = f"results[{emitted.outputs[result.value]}]" if type(result.value) is Traced else f"copy({name(result.value)})"
        return f"tensor({value}, {result.name!r})" if result.tensor else value
    if type(result) in (list, tuple):
        inside = "".join(_spelled(item, name, emitted) + ", " for item in result)
        return f"[{inside}]" if type(result) is list else f"({inside})"
    if type(result) is dict:
        return "{" + ", ".join(f"{name(k)}: {_spelled(v, name, emitted)}" for k, v in result.items()) + "}"
    if isinstance(result, tuple):
        inside = "".join(_spelled(item, name, emitted) + ", " for item in result)
        return f"{name(type(result))}({inside if hasattr(result, '_fields') else f'({inside})'})"
    return name(result)


def _tensor(value: Any, name: str | None) -> Any:
    """Wrap a result in a Tensor of its own."""
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    tensor = make(value)
    if name is not None:
        tensor.name = name
    return tensor


def _fitting(args: Sequence[Any]) -> Callable[..., bool] | None:
    """Write the test whether other arguments are like these, where these are plain arrays and numbers."""
    world: dict[str, Any] = {"ndarray": np.ndarray}
    tests = [f"len(args) == {len(args)}"]
    for i, arg in enumerate(args):
        if type(arg) is np.ndarray:
            world |= {f"s{i}": arg.shape, f"t{i}": arg.strides, f"d{i}": arg.dtype}
            tests.append(f"type(x{i} := args[{i}]) is ndarray and x{i}.shape == s{i}")
            tests.append(f"x{i}.dtype is d{i} and x{i}.strides == t{i}")
        elif type(arg) is float:
            tests.append(f"type(args[{i}]) is float")
        else:
            return None
    exec("def fits(args):\n return " + " and ".join(tests), world)
    found: Callable[..., bool] = world["fits"]
    return found


# What a call is given


def _describe(value: Any, given: list[Any], key: list[Any]) -> None:
    """Add the arrays and numbers in an argument to `given`, and all that decides about the program to `key`."""
    kind = type(value)
    if kind is np.ndarray:
        key += (value.shape, value.strides, value.dtype)
        given.append(value)
    elif kind is float or isinstance(value, np.generic):
        key.append(kind)
        given.append(value)
    elif kind is list or kind is tuple or (isinstance(value, tuple) and hasattr(value, "_fields")):
        key += (kind, len(value))
        for item in value:
            _describe(item, given, key)
    elif kind is dict:
        key += (kind, tuple(value))
        for item in value.values():
            _describe(item, given, key)
    elif isinstance(value, Recorded):
        _describe_tensor(value, given, key)
    elif hasattr(value, "__array_function__"):
        raise Foreign(kind)
    else:
        try:
            hash(value)
        except TypeError:
            key += (kind, _Same(value))
        else:
            key += (kind, value)


def _describe_tensor(value: Recorded, given: list[Any], key: list[Any]) -> None:
    if value.node is LEAF:  # a parameter, whose gradient the function may leave in it: another one is another
        key.append(_Same(value))
    elif value.node is not None:
        raise _Connected
    else:
        key.append(type(value))
        _describe(value.data, given, key)


class _Same:
    """Compares an object by identity, and keeps it alive."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


class _Connected(Exception):  # noqa: N818
    """An argument is the result of recorded calls, so that a gradient must flow through this call."""


def _stand_in(value: Any, numbers: Iterator[int], tracing: Trace, name: str) -> Any:
    """Return an argument with stand-ins for its arrays and numbers."""
    kind = type(value)
    if kind is np.ndarray or kind is float or isinstance(value, np.generic):
        return tracing.input("argument", next(numbers), value, name)
    if isinstance(value, Recorded):
        if value.node is LEAF:
            return value
        tensor = make(_stand_in(value.data, numbers, tracing, value.name or name))
        tensor.name = value.name
        return tensor
    if kind is dict:
        return {key: _stand_in(item, numbers, tracing, f"{name}_{key}") for key, item in value.items()}
    if kind is list or isinstance(value, tuple):
        items = [_stand_in(item, numbers, tracing, f"{name}_{i}") for i, item in enumerate(value)]
        return kind(*items) if hasattr(value, "_fields") else kind(items)
    return value


# What a call gives back


class _Out:
    """A result as the program knows it: the stand-in, and whether it is handed out as a Tensor."""

    def __init__(self, value: Any, tensor: Any = None):
        self.value = value
        self.name = None if tensor is None else tensor.name
        self.tensor = tensor is not None
        self.connected = tensor is not None and tensor.node is not None


def _outputs(result: Any, tracing: Trace) -> Any:
    """Replace every array and Tensor in a result by how it is found on each call."""

    def out(value: Any) -> Any:
        if isinstance(value, Recorded):
            return value if id(value) in tracing.lifted or value.node is LEAF else _Out(value.data, value)
        if isinstance(value, (Traced, np.ndarray)):
            return _Out(value)
        return value

    return rebuild(result, iter([out(leaf) for leaf in leaves(result)]))


class Jitted:
    """What `jit` returns: calls the function through programs, and shows them."""

    def __init__(self, function: Callable[..., Any]):
        functools.update_wrapper(self, function)
        self.function = function
        self.programs: OrderedDict[Any, list[Prepared]] = OrderedDict()
        self.last: Prepared | None = None
        self.lock = threading.RLock()
        self.calls = self.traces = 0
        self.warned = False

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, through its program for such arguments."""
        state = current_state()
        if state.trace is not None or state.transforms:
            return self.function(*args, **kwargs)
        last = self.last
        if last is not None and last.fits is not None and not kwargs and last.fits(args):
            if last.recording is state.recording and last.unchanged():
                self.calls += 1
                return last.run(args)
        given: list[Any] = []
        key: list[Any] = [state.recording]
        try:
            for arg in args:
                _describe(arg, given, key)
            if kwargs:
                _describe(kwargs, given, key)
            prepared = self._prepared(tuple(key), args, kwargs)
        except _Connected:
            return self.function(*args, **kwargs)
        except Foreign as foreign:
            return self._eagerly(foreign, args, kwargs)
        return prepared.run(given)

    def _prepared(self, key: Any, args: Any, kwargs: Any) -> Prepared:
        """Look up the program for these arguments and this state of the world, or make it."""
        self.calls += 1
        for prepared in self.programs.get(key, ()):
            if prepared.unchanged():
                self.last = prepared
                return prepared
        with self.lock:
            for prepared in self.programs.get(key, ()):  # another thread may have made it meanwhile
                if prepared.unchanged():
                    return prepared
            prepared = self._prepare(args, kwargs)
            self._keep(key, prepared)
            self.last = prepared
            return prepared

    def _prepare(self, args: Any, kwargs: Any) -> Prepared:
        names: dict[Traced, str] = {}

        def run(tracing: Trace) -> Any:
            counter = iter(range(1 << 30))
            called = self._argument_names(args)
            stand_ins = [_stand_in(a, counter, tracing, n) for a, n in zip(args, called, strict=True)]
            named = {key: _stand_in(value, counter, tracing, key) for key, value in kwargs.items()}
            names.update({value: value.name or "x" for value in tracing.inputs if not isinstance(value.name, type(None))})
            return _outputs(self.function(*stand_ins, **named), tracing)

        around = links(self.function)
        tensors, ways = tensors_below(self.function, [*args, *kwargs.values()])
        record = trace(run, list(tensors.values()))
        template = record.result
        outs = [leaf for leaf in leaves(template) if isinstance(leaf, _Out)]
        program = build(record._replace(result=[out.value for out in outs]))
        for out, value in zip(outs, program.result, strict=True):
            out.value = value
        emitted = emit(program, self._title(), names)
        read = {id(lifted.tensor) for lifted in record.tensors}
        found = [*around, *(link for key, way in ways.items() if key in read for link in way)]
        unchanged = checker(found, program.tensors, program.facts)
        fits = None if kwargs else _fitting(args)
        return Prepared(program, emitted, template, unchanged, fits)

    def _argument_names(self, args: Any) -> list[str]:
        try:
            parameters = list(inspect.signature(self.function).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL][: len(args)]
        return names + [f"x{i}" for i in range(len(names), len(args))]

    def _title(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return f"{name}, as one NumPy program."

    def _keep(self, key: Any, prepared: Prepared) -> None:
        """Put a program into the cache, and say so where programs are made again and again."""
        same = self.programs.setdefault(key, [])
        same.insert(0, prepared)
        del same[4:]
        self.programs.move_to_end(key)
        while len(self.programs) > PROGRAMS:
            self.programs.popitem(last=False)
        self.traces += 1
        if self.traces >= THRASHING and self.traces * 2 > self.calls and not self.warned:
            self.warned = True
            warnings.warn(
                f"jit made {self.traces} programs in {self.calls} calls of {self._title().partition(',')[0]}: "
                "each makes a new one where an array has another shape, dtype or memory layout, an argument that "
                "is no array or float has another value, or a variable around the function another object. Pad "
                "batches to one size, give changing numbers as floats, and changing arrays as arguments",
                RuntimeWarning,
                stacklevel=5,
            )

    def _eagerly(self, foreign: Foreign, args: Any, kwargs: Any) -> Any:
        """Run the function as it is, on arrays that are not NumPy's."""
        if not self.warned:
            self.warned = True
            (kind,) = foreign.args
            warnings.warn(
                f"jit makes programs for NumPy arrays; on {kind.__module__.partition('.')[0]}'s {kind.__name__} "
                "the function runs as it is",
                RuntimeWarning,
                stacklevel=4,
            )
        return self.function(*args, **kwargs)

    # What there is to see

    def clear(self) -> None:
        """Forget all programs."""
        self.programs.clear()
        self.last = None

    def _shown(self) -> Prepared:
        if self.last is None:
            raise RuntimeError("there is no program yet: call the function once first")
        return self.last

    @property
    def source(self) -> str:
        """The program that ran last, as the NumPy source that it was compiled from."""
        return self._shown().emitted.source

    def report(self) -> Report:
        """Return what the program that ran last costs, and what each pass removed from it."""
        shown = self._shown()
        return describe(shown.program, shown.emitted)


@overload
def jit(function: Callable[P, R]) -> Callable[P, R]: ...
@overload
def jit(function: None = None) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def jit(function: Any = None) -> Any:
    """Run a function as one NumPy program, made by running it once and writing down every call.

    The program holds the forward pass, the backward pass and the updates, without what they share, in buffers
    that are made once. See `docs/capture.md`.
    """
    return Jitted if function is None else Jitted(function)


__all__ = ["LEAF", "PLAIN", "CaptureError", "Jitted", "jit", "_forgetful_node"]
