"""`jit`: run a function as the NumPy program that its first run was turned into.

One program serves one kind of arguments: their shapes, dtypes and memory layouts, and everything that is no
array. A call looks the program up, checks that the world outside is as it was, and runs it.
"""

import contextlib
import functools
import inspect
import itertools
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from ..callsites import warn
from ..containers import leaves, rebuild, tree_map
from ..keeping import kept_leaf
from ..recording import apply, make, pick
from ..state import current_state, is_recording
from ..tracing import NotYet
from ..transforms import forgetful_node
from .arguments import Connected, Out, describe, outputs_of, traced_argument
from .driver import MISSED, Prepared
from .emit import emit
from .guards import Guard
from .outside import with_traced_arrays
from .passes import build, without_examples
from .program import Emitter
from .report import Report, report
from .surroundings import ABSENT, CELL, Link, Surroundings
from .trace import Foreign, Record, Trace, trace
from .traced import CaptureError, Picking, Traced, refuse

PROGRAMS = 64  # kept at a time; the one not used for longest goes first
EMITTER: Emitter = emit  # another one would be put here
DECORATE: Any = object()  # stands for "no function given"
THRASHING = 16  # programs made, in fewer than twice as many calls: time to warn
P = ParamSpec("P")
R = TypeVar("R")


class Jitted:
    """What `jit` returns: calls the function through programs, and shows them."""

    def __init__(self, function: Callable[..., Any], compiled: bool = False):
        functools.update_wrapper(self, function)
        self.function, self.compiled = function, compiled
        self.programs: OrderedDict[Any, list[Prepared]] = OrderedDict()
        self.last: Prepared | None = None
        self.preparing = threading.RLock()
        self.calls = self.traces = 0
        self.warned = self.refused = False

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        place = f"jit of {self.name}"  # no name that code can have, so that nothing is hidden by it
        kept, bound = getattr(instance, "__dict__", {}), self.function.__get__(instance)
        found = kept.get(place)
        if found is not None and found.function == bound:
            return found
        found = Jitted(bound, self.compiled)
        with contextlib.suppress(TypeError):  # no attributes: another one each time
            kept[place] = found
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, through its program for such arguments."""
        state = current_state()
        # part of something larger, which is recorded; or each call is to be looked at
        if state.trace is not None or state.transforms or state.watch is not None:
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
                describe(arg, given, key)
            if kwargs:
                describe(kwargs, given, key)
            prepared = self._prepared(tuple(key), args, kwargs)
        except (Connected, NotYet):
            self.refused = False
            return self.function(*args, **kwargs)
        except Foreign as foreign:
            return self._eagerly(foreign, args, kwargs)
        result = prepared.run(given)
        return self._connected(prepared, result, args, kwargs) if prepared.connected else result

    def _prepared(self, key: Any, args: Any, kwargs: Any) -> Prepared:
        """Look up the program for these arguments and this state of the world, or make it."""
        self.calls += 1
        prepared = self._found(key)
        if prepared is None:
            with self.preparing:
                prepared = self._found(key)  # another thread may have made it meanwhile
                if prepared is None:
                    prepared = self._prepare(args, kwargs)
                    self._keep(key, prepared)
        self.last = prepared
        return prepared

    def _found(self, key: Any) -> Prepared | None:
        found = next((prepared for prepared in self.programs.get(key, ()) if prepared.unchanged()), None)
        if found is not None:
            self.programs.move_to_end(key)
        return found

    def _prepare(self, args: Any, kwargs: Any) -> Prepared:
        """Make the program, if need be of a copy of the function that finds traced arrays around it."""
        try:
            return self._prepare_by(lambda tracing: self.function, args, kwargs)
        except Picking as picking:
            try:
                return self._prepare_by(functools.partial(with_traced_arrays, self.function), args, kwargs)
            except CaptureError:
                raise picking from None

    def _prepare_by(self, function: Callable[[Trace], Any], args: Any, kwargs: Any) -> Prepared:
        """Make the program: trace a run, simplify what was written down, and write it out."""
        names: dict[Traced, str] = {}
        if self.compiled:
            _need_numba()

        def run(tracing: Trace) -> Any:
            counter, called = itertools.count(), self._argument_names(args)
            traced_arrays = [
                traced_argument(a, counter, tracing, n) for a, n in zip(args, called, strict=True)
            ]
            named = {key: traced_argument(value, counter, tracing, key) for key, value in kwargs.items()}
            given = [value for value, source in tracing.inputs.items() if source.kind == "argument"]
            names.update((value, value.name or "x") for value in given)
            return outputs_of(function(tracing)(*traced_arrays, **named), tracing)

        around = Surroundings(self.function, [*args, *kwargs.values()])
        self.refused = True  # until it is done
        record = _traced(run, around)
        template = record.result
        outs = [leaf for leaf in leaves(template) if isinstance(leaf, Out)]
        program = build(record._replace(result=[out.value for out in outs]), self.compiled)
        for out, value in zip(outs, program.result, strict=True):
            out.value = value
            source = (
                program.inputs.get(program.plan.root.get(value, value)) if type(value) is Traced else None
            )
            out.lent = source is not None and source.kind == "argument"
        emitted = EMITTER(program, f"{self.name}, as one NumPy program.", names)
        if any(link.value is ABSENT for link in around.variables):  # modules that it has imported meanwhile
            around = Surroundings(self.function, [*args, *kwargs.values()])
        read = {id(lifted.tensor) for lifted in record.tensors}
        ways = [link for key, way in around.ways.items() if key in read for link in way]
        guard = Guard([*around.links, *ways], around.sizes, around.arrays, program.tensors, program.facts)
        plain = None if kwargs else args
        prepared = Prepared(without_examples(program), emitted, template, guard, plain)
        self.refused = False
        return prepared

    @property
    def name(self) -> str:
        """The function's name."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def _connected(self, prepared: Prepared, result: Any, args: Any, kwargs: Any) -> Any:
        """Let gradients flow from results to parameters: by calling the function again, call by call."""
        inputs = [tensor for tensor in prepared.connected if tensor.node is not None]
        if not inputs or not is_recording():
            return result
        flags = [isinstance(leaf, Out) and leaf.connected for leaf in leaves(prepared.template)]
        found = leaves(result)
        args, kwargs = tree_map(kept_leaf, (args, kwargs))  # they may change before the gradient
        again = functools.partial(self.function, *args, **kwargs)
        outputs = [y for y, connected in zip(found, flags, strict=True) if connected]
        whole = make(tuple(y.data for y in outputs), forgetful_node(self.function, again, inputs, rtol=1e-5))
        parts = (apply(pick, (whole, i)) for i in range(len(outputs)))
        joined = [next(parts) if connected else y for y, connected in zip(found, flags, strict=True)]
        return rebuild(result, iter(joined))

    def _argument_names(self, args: Any) -> list[str]:
        try:
            parameters = list(inspect.signature(self.function).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        names = [p.name for p in parameters if p.kind in places][: len(args)]
        more = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "x")
        return names + [f"{more}_{i}" for i in range(len(args) - len(names))]

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
            warn(
                f"jit made {self.traces} programs in {self.calls} calls of {self.name}: it makes one "
                "where an array has another shape, dtype or memory layout, an argument that is no array or "
                "float has another value, or what the function reads around it (variables, attributes, "
                "items, small arrays) is another object. Pad batches "
                "to one size, give changing numbers as floats, and changing arrays as arguments"
            )

    def _eagerly(self, foreign: Foreign, args: Any, kwargs: Any) -> Any:
        """Run the function as it is, on arrays that are not NumPy's."""
        if not self.warned:
            self.warned = True
            (kind,) = foreign.args
            whose = kind.__module__.partition(".")[0]
            warn(f"jit makes programs for NumPy arrays; on {whose}'s {kind.__name__} it runs call by call")
        return self.function(*args, **kwargs)

    def __reduce__(self) -> Any:
        module = sys.modules.get(getattr(self, "__module__", ""))
        name = getattr(self, "__qualname__", "")
        return name if getattr(module, name, None) is self else (jit, (self.function, self.compiled))

    def __repr__(self) -> str:
        programs = sum(map(len, self.programs.values()))
        return f"<jit of {self.name}: {programs} program{'s' * (programs != 1)}>"

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
        return report(shown.program, shown.emitted)


def _traced(run: Callable[[Trace], Any], around: Surroundings) -> Record:
    """Trace a run; refuse, and put back, what it changes around it besides Tensors."""
    try:
        record = trace(run, around.generators)
    except Exception as error:  # NumPy may have put an error of its own in place of ours
        raise _capture_error(error) or error  # noqa: B904
    finally:
        variables = [_Variable(link) for link in around.variables if link.holder is not sys.modules]
        places = [*(held.changed() for held in around.held), *(one.changed() for one in variables)]
        changed = [place for place in places if place is not None]
    if changed:
        raise refuse(f"changing {changed[0]}", "keep what changes in Tensors, and change them with assign")
    return record


class _Variable:
    """A variable around the function, and what it stood for before the function ran."""

    def __init__(self, link: Link):
        self.link = link

    def changed(self) -> str | None:
        """Say which variable the function has changed, if it has, and put it back."""
        holder, key, value = self.link
        if key is CELL:
            if holder.cell_contents is value:
                return None
            holder.cell_contents = value
            return "a variable around the function"
        if holder.get(key, self) is value:
            return None
        holder[key] = value
        return f"the variable {key}"


def _capture_error(error: BaseException | None) -> CaptureError | None:
    """Find what was refused among the errors that led to an error."""
    while error is not None and not isinstance(error, CaptureError):
        error = error.__cause__ or error.__context__
    return error


if TYPE_CHECKING:

    class JittedAs(Jitted, Generic[P, R]):
        """A `Jitted` as type checkers see it, with the parameters and result of its function."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...  # noqa: D102


@overload
def jit(function: Callable[P, R], compiled: bool | None = None) -> "JittedAs[P, R]": ...
@overload
def jit(*, compiled: bool | None = None) -> "Callable[[Callable[P, R]], JittedAs[P, R]]": ...
def jit(function: Any = DECORATE, compiled: bool | None = None) -> Any:
    """Return the function as NumPy programs: forward pass, backward pass and updates, written out once.

    The first call with arguments of a kind runs the function on traced arrays, and writes every NumPy call
    down. Later ones run the program that became of it, without what the passes left out, in buffers that are
    made once, and give the same results to the last bit (`docs/capture.md` lists the exceptions).

    Args:
        function: of arrays, Tensors, numbers and containers of them. It may call ``loss.backward()`` and an
            optimizer's ``apply``, and read Tensors from around it, whose values of now are used on each call.
            Whatever else it does, such as printing, it does in the first call only.
        compiled: whether to join calls that work element by element into loops, which Numba compiles
            (``pip install "tinygrad-edu[compile]"``). The first call then takes a second or two longer, and
            later ones less time, above all with many parameters. Without a function, as in
            ``@jit(compiled=True)``, a decorator is returned.

    Returns:
        A `Jitted`: called as the function is; ``source`` is the program as text, ``report()`` what it costs.
        Each kind of arguments (shapes, dtypes and memory layouts of arrays, values of all that is no array
        and no float) has a program of its own.

    Raises:
        CaptureError: the function does what a program cannot: it branches on a computed value, converts one
            to a Python number or a plain array, or makes a result whose shape depends on values. The message
            names the line, and what to write instead.
        ImportError: `compiled`, and Numba is not installed.
        TypeError: no function, one whose body runs later (a generator, a coroutine); or no flag.

    Source: tracing as in Maclaurin, Duvenaud & Adams, "Autograd", 2015, and Frostig, Johnson & Leary,
    "Compiling machine learning programs via high-level tracing", SysML 2018.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> slope = jit(tg.grad(lambda w, x: np.sum(np.exp(x * w))))
    >>> slope(np.array([0.0, 1.0]), np.array([1.0, 2.0])).round(4)
    array([ 1.    , 14.7781])
    >>> [line.partition("#")[0].strip() for line in slope.source.splitlines() if " exp(" in line]
    ['exp(scaled, out=d_scaled)']
    """
    if compiled not in (None, True, False):
        raise TypeError(f"compiled must be True or False, and is {compiled!r}")
    if compiled:
        _need_numba()
    if function is DECORATE:
        return functools.partial(jit, compiled=compiled)
    piecemeal = inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function)
    if not callable(function) or piecemeal:
        raise TypeError(f"jit takes a function that returns its results, and got {function!r:.80}")
    if isinstance(function, Jitted):
        return function if compiled in (None, function.compiled) else Jitted(function.function, compiled)
    return Jitted(function, bool(compiled))


def _need_numba() -> None:
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'compiled loops need Numba ({error}); pip install "tinygrad-edu[compile]" brings it'
        ) from error
