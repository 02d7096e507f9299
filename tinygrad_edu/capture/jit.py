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
from .pack import Home
from .program import Program, build, without_examples
from .report import Report, describe
from .trace import PLAIN, CaptureError, Foreign, Trace, Traced, trace
from .watch import Test, links, tensors_below

P = ParamSpec("P")
R = TypeVar("R")

PROGRAMS = 64  # kept at a time; the one not used for longest goes first
THRASHING = 16  # programs made, in fewer than twice as many calls: time to warn


class Prepared:
    """A program, compiled, with all that it takes to call it.

    `run(given)` takes the arrays and numbers among the arguments, and returns what the function returns.
    `attempt(args, recording)` does so too where the arguments are plain and the world is as it was, and returns
    MISSED where that takes a closer look.
    """

    def __init__(
        self, program: Program, emitted: Emitted, template: Any, test: Test, args: Sequence[Any] | None
    ):
        self.program, self.emitted = program, emitted
        self.world = {**test.world, "pool": [], "make": emitted.make, "tensor": make, "copy": np.array}
        self.world |= {"held": getrefcount, "locked": _locked, "MISSED": MISSED, "ndarray": np.ndarray}
        given: dict[int, str] = {}
        body = self._body(given, template)
        unpacked = [f"{name} = given[{i}]" for i, name in given.items()]
        fits = None if args is None else _fitting(args, self.world)
        self._define("run(given)", [*unpacked, *body])
        self._define("unchanged()", [*test.guarded("False"), "return True"])
        if fits is None:
            self._define("attempt(args, recording)", ["return MISSED"])
        else:
            recording = f"recording is not {is_recording()}"
            fast = [f"if {recording} or not ({fits}): return MISSED", *test.guarded("MISSED")]
            unpacked = [f"{name} = args[{i}]" for i, name in given.items()]
            self._define("attempt(args, recording)", [*fast, *unpacked, *body])
        self.run, self.unchanged, self.attempt = (self.world[n] for n in ("run", "unchanged", "attempt"))

    def _define(self, head: str, body: list[str]) -> None:
        exec(f"def {head}:\n" + "".join(f" {line}\n" for line in body), self.world)

    def name(self, value: Any) -> str:
        """Give an object a name in the driver."""
        key = f"w{len(self.world)}"
        self.world[key] = value
        return key

    def _body(self, given: dict[int, str], template: Any) -> list[str]:
        """Write what is around a program: read what it reads, run it, change what changes.

        Written out for each program, because a loop over what there is to do takes as long as NumPy's calls do.
        """
        program, emitted = self.program, self.emitted
        args: list[str] = []
        for value in emitted.arguments:
            kind, origin = program.inputs[value]
            if kind == "argument":
                args.append(given.setdefault(origin, f"a{origin}"))
            else:
                ends = {"tensor": ".data", "grad": ".grad.data", "number": "()"}
                args.append(self.name(origin) + ends[kind])
        reading, moving = [], []
        for i, (residence, now, new) in enumerate(
            zip(program.residences, emitted.now, emitted.new, strict=True)
        ):
            home = self.name(residence.home)
            reading.append(f"now{i}, new{i} = {home}.now, {home}.spare")
            reading.append(f"if sum(map(held, new{i}.watched)) != new{i}.alone or not {home}.at_home():")
            reading.append(f" now{i}, new{i} = {home}.ready()")
            for pack, numbers in ((f"now{i}", now), (f"new{i}", new)):
                names = "".join(f"{pack}_{number}, " for number in numbers)
                if names:
                    reading.append(f"{names} = {pack}.chosen.get({numbers!r}) or {pack}.choose({numbers!r})")
                args += [f"{pack}_{number}" for number in numbers]
            moving += self._moving(residence.home, home, i)
        after = [self._settling(tensor, value) for tensor, value in program.gradients]
        after += [f"{self.name(effect)}()" for effect in program.effects]
        body = [*reading, "step = pool.pop() if pool else make()", f"results = step({', '.join(args)})"]
        body.append("pool.append(step)")
        if moving:  # all of it, even if interrupted: doing it again changes nothing
            body += ["try:", *(f" {line}" for line in moving), "except BaseException:"]
            body += [*(f" {line}" for line in moving), " raise"]
        body += [*after, f"return {self._spelled(template)}"]
        for lock in dict.fromkeys(residence.home.lock for residence in program.residences):
            body = [f"with {self.name(lock)}:", *(f" {line}" for line in body)]
        return body

    def _moving(self, home: Home, name: str, i: int) -> list[str]:
        """Write the lines that let Tensors have the values that were written."""
        places = "".join(f"{self.name(tensor)}.data, " for tensor in home.tensors)
        return [f"{places} = new{i}.public", f"{name}.now, {name}.spare = new{i}, now{i}"]

    def _settling(self, tensor: Any, value: Any) -> str:
        """Write the line that gives a Tensor its new gradient."""
        if type(value) is Traced:
            return f"{self.name(tensor)}.grad = tensor(locked(copy(results[{self.emitted.outputs[value]}])))"
        return f"{self.name(tensor)}.grad = {'None' if value is None else f'tensor(locked(copy({self.name(value)})))'}"

    def _spelled(self, result: Any) -> str:
        """Write the expression for what a call gives back."""
        if isinstance(result, _Out):
            traced = type(result.value) is Traced
            text = (
                f"results[{self.emitted.outputs[result.value]}]"
                if traced
                else f"copy({self.name(result.value)})"
            )
            if not result.tensor:
                return text
            array = isinstance(result.value.example if traced else result.value, np.ndarray)
            text = f"tensor(locked({text}))" if array else f"tensor({text})"
            return f"{self.name(_named)}({text}, {result.name!r})" if result.name else text
        if type(result) is dict:
            return "{" + ", ".join(f"{self.name(k)}: {self._spelled(v)}" for k, v in result.items()) + "}"
        if not isinstance(result, (list, tuple)):
            return self.name(result)
        inside = "".join(self._spelled(item) + ", " for item in result)
        if type(result) is list:
            return f"[{inside}]"
        made = f"({inside})"
        if type(result) is tuple:
            return made
        return f"{self.name(type(result))}({inside if hasattr(result, '_fields') else made})"


MISSED = object()


def _locked(array: Any) -> Any:
    array.setflags(write=False)
    return array


def _named(tensor: Any, name: str) -> Any:
    tensor.name = name
    return tensor


def _fitting(args: Sequence[Any], world: dict[str, Any]) -> str | None:
    """Write the test whether other arguments are like these, where these are plain arrays and numbers."""
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
    return " and ".join(tests)


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
        self.warned = self.refused = False

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, through its program for such arguments."""
        state = current_state()
        if state.trace is not None or state.transforms:
            return self.function(*args, **kwargs)
        if self.last is not None and not kwargs:
            result = self.last.attempt(args, state.recording)
            if result is not MISSED:
                self.calls += 1
                return result
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
            names.update(
                {
                    value: value.name or "x"
                    for value in tracing.inputs
                    if not isinstance(value.name, type(None))
                }
            )
            return _outputs(self.function(*stand_ins, **named), tracing)

        around = links(self.function)
        roots = [*args, *kwargs.values(), getattr(self.function, "__self__", None)]
        tensors, ways = tensors_below(self.function, roots)
        self.refused = True  # until it is done
        record = trace(run, list(tensors.values()))
        template = record.result
        outs = [leaf for leaf in leaves(template) if isinstance(leaf, _Out)]
        program = build(record._replace(result=[out.value for out in outs]))
        for out, value in zip(outs, program.result, strict=True):
            out.value = value
        emitted = emit(program, self._title(), names)
        read = {id(lifted.tensor) for lifted in record.tensors}
        found = [*around, *(link for key, way in ways.items() if key in read for link in way)]
        self.refused = False
        test = Test(found, program.tensors, program.facts)
        return Prepared(without_examples(program), emitted, template, test, None if kwargs else args)

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
