"""Emit: a program as NumPy source that a person could have written, compiled with exec.

The text has an outer function, ``program``, that makes the buffers once and returns the inner one, ``step``,
which is called again and again; before it, the loops that Numba is to compile, if there are any.
"""

import contextlib
import functools
import itertools
import linecache
import math
import operator
import os
import sys
import textwrap
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..callsites import line_of
from ..containers import children, spelled
from ..rules import function_name
from ..rules.indexing import getitem, is_basic
from ..rules.shapes import astype
from .chunks import size
from .emit_loops import RESERVED, call_text, compiled_loop, helpers, written
from .facts import PUT, SET_AT, facts
from .homes import Block
from .loops import Loop
from .naming import Unique, Wishes
from .program import Emitted, Program, Residence, example, reads
from .trace import Call, Draw
from .traced import Traced, traced_in

SHORT = 16  # arrays of so many elements are written out
LONG = 500  # programs of so many calls give names to buffers, not to values
KINDS = ["argument", "tensor", "grad", "number", "generator"]  # in this order they are given


def emit(program: Program, title: str, names: dict[Traced, str]) -> Emitted:
    """Write a program as source, and compile it."""
    return _Writer(program, names).write(title)


class _Writer:
    def __init__(self, program: Program, argument_names: dict[Traced, str]):
        self.program = program
        self.names: dict[Traced, str] = {}
        self.unique = Unique(*(RESERVED if any(isinstance(c.fn, Loop) for c in program.calls) else ()))
        self.tenants: dict[tuple[Traced, str], str] = {}  # names that values have in a buffer
        self.used: set[Traced] = set()
        self.hoisted: set[Traced] = set()  # values that the outer function has: views of buffers
        self.constants: dict[int, tuple[str, Any]] = {}  # which are given, by their ids
        self.spelled: dict[int, tuple[str, Any]] = {}  # and those that are written out
        self.numbers: dict[Any, str] = {}
        self.imports: set[str] = set()
        self.imported: dict[Any, str] = {}
        self.loops: dict[Loop, str] = {}
        self.setup: list[str] = []
        self.inner: list[list[str]] = []  # functions of chunks
        self.lines: list[tuple[str, str]] = []
        self.root, self.buffer = program.plan.root, program.plan.buffer
        self.kept = {*self.buffer, *program.places}  # what is written into an array that is there
        self.outputs = {value: i for i, value in enumerate(dict.fromkeys(program.handed_out()))}
        self._name_inputs(argument_names)
        self.functions: dict[Any, tuple[str, str]] = {}  # NumPy's functions: their name here, and in NumPy
        self.called: dict[str, str] = {}
        self.wishes = Wishes(program, self.names)
        for call in program.calls:  # they come first to the names of functions
            if isinstance(call.out.example, np.ndarray) or not facts(call.fn).symbol:
                self._numpys(call.fn)

    # Names

    def _name_inputs(self, argument_names: dict[Traced, str]) -> None:
        for value, name in argument_names.items():
            self.names[value] = self.unique(name)
        for value, source in self.program.inputs.items():
            if value not in self.names:
                self.names[value] = self.unique(value.name or source.kind)
        for residence in self.program.residences:
            self._name_residence(residence)
        for flat in self.program.flats:
            self.names[flat] = self.unique(flat.name or "others")

    def _name_residence(self, residence: Residence) -> None:
        now, *parts = residence.now
        new, *new_parts = residence.new
        if len(parts) > 1:
            ends = {part.name.rpartition(".")[2] for part in parts if part.name}
            trained = residence.home.tensors[0].node is not None
            whole = self.unique("parameters" if trained else ends.pop() if len(ends) == 1 else "states")
            self.names[now], self.names[new] = whole, self.unique(f"new_{whole}")
        else:
            alone = self.names[parts[0]]
            self.names[now], self.names[new] = self.unique(f"flat_{alone}"), self.unique(f"flat_new_{alone}")
        for value, part in zip(new_parts, parts, strict=True):
            self.names[value] = self.unique(f"new_{self.names[part]}")

    def name(self, value: Traced) -> str:
        """Return how a value is written: by a name of its own, or that of the buffer it is in."""
        self.used.add(value)
        if value in self.names:
            return self.names[value]
        wish = self.wishes.best(value)
        first = self.buffer.get(value)
        if first is None or first is value:
            self.names[value] = self.tenants[value, wish] = self.unique(wish)
        elif value not in self.wishes and len(self.program.calls) >= LONG:
            self.names[value] = self.name(first)
        elif (first, wish) in self.tenants:
            self.names[value] = self.tenants[first, wish]
        else:
            self.names[value] = self.tenants[first, wish] = alias = self.unique(wish)
            self.setup.append(f"{alias} = {self.name(first)}  # the same memory")
        return self.names[value]

    # Text of arguments

    def text(self, value: Any) -> str:
        """Write an argument of a call."""
        kind = type(value)
        if kind is Traced:
            return self.name(value)
        if children(value) is not None:
            return spelled(value, self.text, self.constant)
        if isinstance(value, np.generic) and value.dtype.char in "?bBhHiIlLqQefd":
            return f"np.{value.dtype.name}({self.text(value.item())})"
        if kind is float:
            return repr(value) if np.isfinite(value) else f'float("{value}")'
        if value is None or value is Ellipsis or kind in (int, bool, str):
            return "..." if value is Ellipsis else repr(value)
        if isinstance(value, np.dtype):
            named = "bool" if value.kind == "b" else f"np.{value.name}"
            return named if value.isbuiltin == 1 else f"np.dtype({value.str!r})"
        if isinstance(value, type) and issubclass(value, np.generic):
            return f"np.{np.dtype(value).name}"
        return self.constant(value)

    def constant(self, value: Any) -> str:
        """Give an array (or another object) a name in the outer function."""
        short = isinstance(value, np.ndarray) and _is_short(value)
        known = self.spelled if short else self.constants
        if id(value) not in known:
            name = self.unique(getattr(value, "__name__", "constant"))
            known[id(value)] = name, value
            if short:
                self.setup.append(f"{name} = np.array({value.tolist()}, {self.text(value.dtype)})")
        return known[id(value)][0]

    def index(self, index: Any) -> str:
        """Write what stands between the brackets of an index."""
        if type(index) is tuple and index:
            inside = ", ".join(map(self._place, index))
            return inside + "," if len(index) == 1 else inside
        return self._place(index)

    def _place(self, part: Any) -> str:
        if type(part) is not slice:
            return self.text(part)
        ends = ["" if end is None else self.text(end) for end in (part.start, part.stop, part.step)]
        return ":".join(ends[:2] if part.step is None else ends)

    def function(self, fn: Any) -> str:
        """Write a function: one of NumPy's by a name of the outer function, which is found faster."""
        found = self._numpys(fn)
        if found is not None:
            self.called[found[0]] = found[1]
            return found[0]
        of = getattr(fn, "__self__", None)
        if isinstance(of, np.ufunc):
            return f"{self.function(of)}.{fn.__name__}"
        module = "scipy.special" if isinstance(fn, np.ufunc) else getattr(fn, "__module__", None) or ""
        plain = getattr(fn, "__name__", "")
        public = getattr(sys.modules.get(module), plain, None) if plain.isidentifier() else None
        if module == "__main__" or fn not in (public, getattr(public, "__wrapped__", None)):
            return self.constant(fn)
        if fn not in self.imported:
            name = self.imported[fn] = self.unique(plain)
            self.imports.add(f"from {module} import {plain}" + (f" as {name}" if name != plain else ""))
        return self.imported[fn]

    def _numpys(self, fn: Any) -> tuple[str, str] | None:
        """Return what a function of NumPy's is called here, and what in NumPy; None for other functions."""
        if fn not in self.functions:
            of = getattr(fn, "__self__", None)
            path = f"{function_name(of)}.{fn.__name__}" if isinstance(of, np.ufunc) else function_name(fn)
            if not path.startswith("np.") or _resolved(np, path[3:]) != fn:
                return None
            short = path[3:] if isinstance(of, np.ufunc) else path.rpartition(".")[2]
            self.functions[fn] = self.unique(short), path
        return self.functions[fn]

    # Text of calls

    def expression(self, call: Call) -> str:
        """Write a call that makes its own result."""
        fn, args = call.fn, call.args
        scalars = not any(isinstance(example(arg), np.ndarray) for arg in args)
        if isinstance(fn, np.ufunc):  # between Python's numbers it would give one of NumPy's
            scalars = scalars and any(isinstance(example(arg), np.generic) for arg in args)
        symbol = facts(fn).symbol if scalars and not call.kwargs else ""
        if symbol and len(args) == 2:
            return f"{self._operand(args[0])} {symbol} {self.text(args[1])}"
        if symbol:
            return f"{symbol}{self._operand(args[0])}"
        if fn is getitem or fn is operator.getitem:
            return f"{self.text(args[0])}[{self.index(args[1])}]"
        if fn is astype:
            return f"{self.text(args[0])}.astype({self.text(args[1])})"
        if isinstance(fn, Draw):
            return f"{self.text(args[0])}.{fn.__name__}({self._given(map(self.text, args[1:]), call.kwargs)})"
        if facts(fn).view and isinstance(args[0], Traced) and call.out in self.program.plan.views:
            return self._view(call)
        return f"{self.function(fn)}({self._given(map(self.text, args), call.kwargs)})"

    def _operand(self, arg: Any) -> str:
        text = self.text(arg)
        return f"({text})" if text.startswith("-") else text

    def _view(self, call: Call) -> str:
        """Write a view by a method, which is shorter and faster than the function."""
        fn, args, text = call.fn, call.args, self.text(call.args[0])
        if fn is np.transpose:
            return f"{text}.T" if len(args) == 1 else f"{text}.transpose({self.text(args[1])})"
        if fn is np.swapaxes:
            return f"{text}.swapaxes({args[1]}, {args[2]})"
        if fn in (np.expand_dims, np.squeeze) or (fn is np.reshape and len(args) == 2 and not call.kwargs):
            return f"{text}.reshape({self.text(call.out.shape)})"
        return f"{self.function(fn)}({self._given(map(self.text, args), call.kwargs)})"

    def _given(self, texts: Iterable[str], kwargs: Any) -> str:
        return ", ".join([*texts, *(f"{key}={self.text(arg)}" for key, arg in kwargs.items())])

    def statement(self, call: Call) -> str:
        """Write the line for a call."""
        out = call.out
        if out not in self.kept:
            return f"{self.name(out)} = {self.expression(call)}"
        into = self.name(out)
        fn, args = call.fn, call.args
        if fn is astype:
            return f'{self.function(np.copyto)}({into}, {self.text(args[0])}, casting="unsafe")'
        if fn is PUT:
            put = f"{into}.fill(0); "
            if is_basic(args[1]):
                return put + f"{into}[{self.index(args[1])}] = {self.text(args[0])}"
            return put + f"np.add.at({into}, {self.text(args[1])}, {self.text(args[0])})"
        if fn is SET_AT:
            return (
                f"{self.function(np.copyto)}({into}, {self.text(args[0])}); "
                f"{into}[{self.index(args[1])}] = {self.text(args[2])}"
            )
        texts = self._with_arrays(args) if facts(fn).one_type and not call.kwargs else map(self.text, args)
        return f"{self.function(fn)}({self._given(texts, call.kwargs)}, out={into})"

    def _loop(self, loop: Loop) -> tuple[list[str], list[str]]:
        """Write the lines that make arrays to hand out, and those that run a loop, named after its result."""
        self.imports.add("from numba import njit")
        given = [self.name(value) for value in (*loop.inputs, *loop.outs)]
        handed_out = [value for value in loop.outs if value not in self.kept]
        made = [f"{self.name(value)} = {self._empty(value)}" for value in handed_out]
        self.loops[loop] = name = self.unique(f"loop_{self.name(loop.outs[-1])}")
        return made, call_text(name, given)

    def _write_chunks(self, calls: list[Call]) -> None:
        """Write calls as a function of chunks of their arrays, and the lines that go from chunk to chunk."""
        body = [(self.statement(call), self._comment(call)) for call in calls]
        values = dict.fromkeys(value for call in calls for value in (*reads(call), call.out))
        whole = calls[-1].out
        (start, chunk), step, end = self._chunk, size(calls), math.prod(whole.shape)
        name = self.unique(f"chunk_of_{self.name(whole)}")
        part = f"[{chunk}]" if len(whole.shape) == 1 else f".reshape(-1)[{chunk}]"
        given = {self.name(v): part if np.ndim(v.example) else "" for v in values}
        self.inner.append([*call_text(f"def {name}", list(given), ":"), *_commented(body)])
        self.lines += [
            (f"for {start} in range(0, {end}, {step}):  # chunks that fit in the cache", ""),
            (f"    {chunk} = slice({start}, {start} + {step})", ""),
        ]
        call = call_text(name, [text + part for text, part in given.items()])
        self.lines += [(f"    {line}", "") for line in call]

    @functools.cached_property
    def _chunk(self) -> tuple[str, str]:
        """The names of where a chunk starts, and of the chunk."""
        return self.unique("start"), self.unique("chunk")

    def _with_arrays(self, args: Any) -> Iterator[str]:
        """Write the arguments of an elementwise call, its constant numbers as arrays that are made once."""
        kinds = {array.dtype for array in map(example, args) if isinstance(array, np.ndarray)}
        dtype = kinds.pop() if len(kinds) == 1 else None
        for arg in args:
            same = type(arg) in (int, float) or (isinstance(arg, np.generic) and arg.dtype == dtype)
            yield (
                self._number(arg, dtype)
                if dtype is not None and dtype.char in "efd" and same
                else self.text(arg)
            )

    def _number(self, value: Any, dtype: np.dtype[Any]) -> str:
        key = repr(value), dtype
        if key not in self.numbers:
            words = {0: "zero", 1: "one", 2: "two", 0.5: "half"}
            self.numbers[key] = name = self.unique(words.get(value, "constant"))
            plain = value.item() if isinstance(value, np.generic) else value
            self.setup.append(f"{name} = np.array({self.text(plain)}, {self.text(dtype)})")
        return self.numbers[key]

    # The whole

    def write(self, title: str) -> Emitted:
        """Write everything, and compile it."""
        program = self.program
        for value in [*self.buffer, *program.places]:
            self._make_room(value)
        for group in program.groups:
            if len(group) > 1:
                self._write_chunks(group)
                continue
            (call,) = group
            if call.out not in self.kept and self._is_fixed(call):
                self.hoisted.add(call.out)
                self.setup.append(f"{self.name(call.out)} = {self.expression(call)}")
            elif isinstance(call.fn, Loop):
                made, (first, *others) = self._loop(call.fn)
                self.lines += [(line, "") for line in made]
                self.lines += [(first, self._comment(call)), *((line, "") for line in others)]
            else:
                how = ", ".join(f"{key}={value!r}" for key, value in (call.errors or {}).items())
                guard = f"with np.errstate({how}): " if how else ""
                self.lines.append((guard + self.statement(call), self._comment(call)))
        returned = [self._returned(value) for value in self.outputs]
        self.lines.append((f"return ({', '.join(returned)}{',' * (len(returned) == 1)})", ""))
        resident = {value for residence in program.residences for value in residence.now}
        arguments = [value for value in program.inputs if value in self.used and value not in resident]
        arguments.sort(key=lambda value: KINDS.index(program.inputs[value].kind))
        signature = [self.names[value] for value in arguments]
        for _, now, new in program.residences:
            signature += [self.names[value] for value in (*now, *new) if value in self.used]
        loops = {name: "\n".join(written(loop, name, self.wishes.best)) for loop, name in self.loops.items()}
        source = self._source(title, signature, list(loops.values()))
        make = _compiled(source, [value for _, value in self.constants.values()], loops)
        read = [self._used_of(residence.now) for residence in program.residences]
        written_to = [self._used_of(residence.new) for residence in program.residences]
        buffers = {value: value.example.nbytes for value in self.buffer.values()}
        sizes = len(buffers), sum(buffers.values())
        return Emitted(source, make, arguments, read, written_to, self.outputs, *sizes)

    def _used_of(self, values: list[Traced]) -> tuple[int, ...]:
        return tuple(i for i, value in enumerate(values) if value in self.used)

    def _is_fixed(self, call: Call) -> bool:
        """Tell whether a call looks, in a way that never changes, at an array that is made once."""
        if call.out not in self.program.plan.views or len(traced_in(call.args)) != 1 or call.kwargs:
            return False
        (value,) = traced_in(call.args)
        root = self.root.get(value, value)
        made = root in self.buffer or self.program.places.get(root, (None,))[0] in self.program.flats
        return made and (value is root or value in self.hoisted)

    def _make_room(self, value: Traced) -> None:
        """Write the line of the outer function that makes a buffer, or names a part of a flat array."""
        place = self.program.places.get(value)
        if place is None:
            if self.buffer[value] is value:
                self.setup.append(f"{self.name(value)} = {self._empty(value)}")
            return
        flat, block = place
        new = next((r.new for r in self.program.residences if r.new[0] is flat), None)
        if new is None:
            self.setup.append(f"{self.name(value)} = {block.spelled(self.names[flat])}")
        else:  # the new values of many Tensors, all of which go there, or those of one
            self.names[value] = self.name(flat if len(new) > 2 else new[1])

    def _empty(self, value: Traced) -> str:
        shape, dtype, array = self.text(value.shape), self.text(value.dtype), value.example
        if array.flags.c_contiguous:
            return f"np.empty({shape}, {dtype})"
        if array.flags.f_contiguous:
            return f'np.empty({shape}, {dtype}, order="F")'
        block = Block(0, value.shape, array.strides, value.size)
        return block.spelled(f"np.empty({value.size}, {dtype})").replace(f"[0:{value.size}]", "")

    def _returned(self, value: Traced) -> str:
        """Write a result for the caller, who gets an array of their own."""
        text = self.name(value)
        root = self.root.get(value, value)
        source = self.program.inputs.get(root)
        own = source.kind == "argument" if source else root not in self.kept
        return text if own or not isinstance(value.example, np.ndarray) else f"{text}.copy()"

    def _comment(self, call: Call) -> str:
        """Say which of the user's lines a call comes from, and which function's gradient rule made it."""
        if call.place is None:
            return ""
        file, line = line_of(call.place)
        where = f"{os.path.basename(file)}:{line}"
        if call.node is not None:
            scope = f" in {call.node.scope[-1]}" if call.node.scope else ""
            return f"{where}: gradient of {call.node.name}{scope}"
        what = f"layer {call.scope[-1]}" if call.scope else linecache.getline(file, line).strip()
        return f"{where}: {what}".rstrip(": ")

    def _source(self, title: str, signature: list[str], loops: list[str]) -> str:
        names = [name for name, _ in self.constants.values()]
        text = [f'"""{title}"""', "", "import numpy as np", *sorted(self.imports), "", ""]
        for function in [*helpers(loops), *loops]:
            text += [function, "", ""]
        text += [f"def program({', '.join(names)}):"]
        text += [f"    {line}" for line in (*_aliases(self.called), *self.setup)]
        text += [""] if self.called or self.setup else []
        for residence in self.program.residences:
            now, *parts = residence.now
            if now in self.used and len(parts) > 1:
                listed = ", ".join(self.names[part] + _order(part) for part in parts)
                note = f"{self.names[now]} holds, one after the other: {listed}"
                text += [f"    # {line}" for line in textwrap.wrap(note, 102)]
        step = [*call_text("def step", signature, ":"), *_commented(self.lines)]
        for lines in (*self.inner, step):
            text += [*(f"    {line}" for line in lines), ""]
        text += ["    return step", ""]
        return "\n".join(text)


def _aliases(called: dict[str, str]) -> Iterator[str]:
    """Write the lines that give NumPy's functions their names."""
    names = sorted(called)
    for i in range(0, len(names), 5):
        some = names[i : i + 5]
        yield f"{', '.join(some)} = {', '.join(called[name] for name in some)}"


def _commented(lines: list[tuple[str, str]]) -> Iterator[str]:
    """Write the lines of a function, each with its comment; one like that above it is a ditto mark."""
    width = min(max((len(line) for line, note in lines if note), default=0), 76)
    before = ""
    for line, note in lines:
        shown = note if note != before or note == "" else '"'
        before = note
        yield f"    {line:{width}}  # {shown}" if note else f"    {line}"


def _order(value: Traced) -> str:
    """Say of a matrix that lies in memory column by column that it does."""
    flags = value.example.flags
    return " (column by column)" if flags.f_contiguous and not flags.c_contiguous else ""


def _is_short(array: Any) -> bool:
    """Tell whether an array may be written out: nothing of it is lost."""
    plain = array.dtype.kind in "fiub" and bool(array.flags.c_contiguous) and 0 < array.size <= SHORT
    return plain and bool(np.all(np.isfinite(array)))


def _resolved(module: Any, path: str) -> Any:
    for part in path.split("."):
        module = getattr(module, part, None)
    return module


_numbers = itertools.count(1)
_gone: list[str] = []  # files of programs that are no more: taken out later, as linecache may be at work now


def _compiled(source: str, constants: list[Any], loops: dict[str, str]) -> Callable[[], Callable[..., Any]]:
    """Compile source text so that tracebacks can show its lines; take loops that other programs have too."""
    with contextlib.suppress(IndexError):  # another thread may do so, too
        while _gone:
            linecache.cache.pop(_gone.pop(), None)
    filename = f"<jit program {next(_numbers)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    world: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), world)
    world |= {name: compiled_loop(name, text) for name, text in loops.items()}
    weakref.finalize(world["program"], _gone.append, filename)
    return functools.partial(world["program"], *constants)
