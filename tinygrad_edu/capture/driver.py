"""Driver: the function around a program, which reads what it reads, runs it, and changes what it changes.

It is written out for each program, as the program itself is: a loop over what there is to do would take as
long as NumPy's calls do. For a step of gradient descent it reads, in short::

    def attempt(args, recording):
        if recording is not True or not (type(x0 := args[0]) is ndarray and x0.shape == s0 and ...):
            return MISSED                                    # other arguments: another program
        if not (v1["W"] is v2 and v2.node is v6 and v2._grad is None and ...):
            return MISSED                                    # the world has changed
        with lock:
            now0, new0 = home.now, home.spare                # where W is, and where it will be
            if ...: now0, new0 = home.ready()                # somebody has assigned to W, or kept an array
            step = pool.pop() if pool else make()            # buffers that no other thread is using
            results = step(x0, sgd["learning_rate"], *now0, *new0)
            pool.append(step); count0 = sgd["iterations"] + 1
            try: W._data = new0.public; home.now, home.spare = new0, now0; sgd["iterations"] = count0
            except BaseException: ... the same again ...; raise
            return results[0]

Everything that changes changes at the end, all of it or, after an error, nothing.
"""

from collections.abc import Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from ..containers import leaves, spelled
from ..recording import make
from ..state import is_recording
from .arguments import Out
from .guards import Guard
from .homes import Home
from .program import Emitted, Program
from .traced import Traced


class Prepared:
    """A program, compiled, with all that it takes to call it.

    `run(given)` takes the arrays and numbers among the arguments, and returns what the function returns.
    `attempt(args, recording)` does so too where the arguments are plain and the world is as it was, and
    returns MISSED where that takes a closer look.
    """

    def __init__(
        self, program: Program, emitted: Emitted, template: Any, guard: Guard, args: Sequence[Any] | None
    ):
        self.program, self.emitted = program, emitted
        self.world = {**guard.world, "pool": [], "make": emitted.make, "tensor": make, "copy": np.array}
        self.world |= {"held": getrefcount, "locked": _locked, "MISSED": MISSED, "ndarray": np.ndarray}
        self.template, self.connected = template, _connected(program, template)
        given: dict[int, str] = {}
        body = self._body(given, template)
        unpacked = [f"{name} = given[{i}]" for i, name in given.items()]
        fits = None if args is None or self.connected else _fitting(args, self.world)
        self._define("run(given)", [*unpacked, *body])
        self._define("unchanged()", [*guard.guarded("False"), "return True"])
        if fits is None:
            self._define("attempt(args, recording)", ["return MISSED"])
        else:
            recording = f"recording is not {is_recording()}"
            fast = [f"if {recording} or not ({fits}): return MISSED", *guard.guarded("MISSED")]
            unpacked = [f"{name} = args[{i}]" for i, name in given.items()]
            self._define("attempt(args, recording)", [*fast, *unpacked, *body])
        self.run, self.unchanged, self.attempt = (self.world[n] for n in ("run", "unchanged", "attempt"))

    def _define(self, head: str, body: list[str]) -> None:
        """Compile one function of the driver."""
        exec(f"def {head}:\n" + "".join(f" {line}\n" for line in body), self.world)

    def name(self, value: Any) -> str:
        """Give an object a name in the driver."""
        key = f"w{len(self.world)}"
        self.world[key] = value
        return key

    def _body(self, given: dict[int, str], template: Any) -> list[str]:
        """Write what is around a program: read what it reads, run it, change what changes."""
        program, emitted = self.program, self.emitted
        args: list[str] = []
        for value in emitted.arguments:
            kind, origin = program.inputs[value]
            if kind == "argument":
                args.append(given.setdefault(origin, f"a{origin}"))
            else:
                args.append(self._read(kind, origin))
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
        moving += [self._leaving(tensor, value) for tensor, value in program.gradients]
        counted = [self._read("number", number) for number in program.counted]
        moving += [f"{place} = count{i}" for i, place in enumerate(counted)]
        body = [*reading, "step = pool.pop() if pool else make()", f"results = step({', '.join(args)})"]
        body.append("pool.append(step)")
        for i, (place, number) in enumerate(zip(counted, program.counted, strict=True)):
            body.append(f"count{i} = {place} + {number.advanced}")
        if moving:  # all of it, even if interrupted: doing it again changes nothing
            body += ["try:", *(f" {line}" for line in moving), "except BaseException:"]
            body += [*(f" {line}" for line in moving), " raise"]
        body.append(f"return {spelled(template, self._spelled, self.name)}")
        locks = sorted({lock for residence in program.residences for lock in residence.home.locks})
        if not locks:
            return body
        return [f"with {', '.join(self.name(lock.lock) for lock in locks)}:", *(f" {line}" for line in body)]

    def _read(self, kind: str, origin: Any) -> str:
        """Write the expression for what a program reads from outside on each call."""
        if kind == "number":
            return f"{self.name(vars(origin.owner))}[{origin.name!r}]"
        return self.name(origin) + {"tensor": "._data", "grad": "._grad._data", "generator": "()"}[kind]

    def _result(self, value: Any) -> str:
        """Write the expression for what a program has computed, or found to be a constant."""
        traced = type(value) is Traced
        return f"results[{self.emitted.outputs[value]}]" if traced else self.name(value)

    def _moving(self, home: Home, name: str, i: int) -> list[str]:
        """Write the lines that let Tensors have the values that were written."""
        places = "".join(f"{self.name(tensor)}._data, " for tensor in home.tensors)
        return [f"{places} = new{i}.public", f"{name}.now, {name}.spare = new{i}, now{i}"]

    def _leaving(self, tensor: Any, value: Any) -> str:
        """Write the line that gives a Tensor its new gradient."""
        new = "None" if value is None else f"tensor(locked(copy({self._result(value)})))"
        return f"{self.name(tensor)}._grad = {new}"

    def _spelled(self, result: Any) -> str:
        """Write the expression for one array, or something else, that a call gives back."""
        if not isinstance(result, Out):
            return self.name(result)
        traced = type(result.value) is Traced
        text = self._result(result.value) if traced else f"copy({self._result(result.value)})"
        if not result.tensor:
            return text
        array = isinstance(result.value.example if traced else result.value, np.ndarray)
        text = f"copy({text})" if result.lent else text
        text = f"tensor(locked({text}))" if array else f"tensor({text})"
        text = f"{self.name(_cut)}({text})" if result.cut else text
        return f"{self.name(_named)}({text}, {result.name!r})" if result.name else text


MISSED = object()


def _connected(program: Program, template: Any) -> list[Any]:
    """List the parameters that gradients may be wanted of through results, by running the function again.

    Where it changes anything it cannot be run again, and results are cut off from their parameters.
    """
    outs = [leaf for leaf in leaves(template) if isinstance(leaf, Out)]
    moved = {id(tensor) for residence in program.residences for tensor in residence.home.tensors}
    read = [origin for kind, origin in program.inputs.values() if kind == "tensor"]
    changing = bool(program.gradients or program.counted) or any(id(tensor) in moved for tensor in read)
    for out in outs:
        out.cut = out.connected and changing
    return read if any(out.connected and not out.cut for out in outs) else []


def _locked(array: Any) -> Any:
    array.setflags(write=False)
    return array


def _cut(tensor: Any) -> Any:
    tensor.cut = "jit"
    return tensor


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
