"""Naming: what the results in a program are called.

As the user's line calls them, where it is an assignment; in a layer as the course does, z = XW + b and
h = g(z); a gradient after what it is the gradient of; and anything else after the function that made it.
"""

import builtins
import keyword
import re
from typing import Any

import numpy as np

from ..recording import LEAF
from ..rules import function_name
from ..source import Sources
from .facts import facts
from .loops import each_call
from .program import Program
from .trace import Draw
from .traced import Traced

sources = Sources()


class Unique:
    """Makes Python names, each another one."""

    def __init__(self, *taken: str) -> None:
        self.taken = {"np", "program", "step", *taken, *keyword.kwlist, *dir(builtins)}
        self.counts: dict[str, int] = {}

    def __call__(self, wanted: str) -> str:
        """Return a name like the one wanted that nothing else has.

        >>> unique = Unique()
        >>> unique("dense.W"), unique("dense.W"), unique("2nd")
        ('dense_W', 'dense_W_2', 'v2nd')
        """
        name = re.sub(r"\W+", "_", wanted).strip("_") or "value"
        name = f"v{name}" if name[0].isdigit() else name
        found = name
        while found in self.taken:
            self.counts[name] = self.counts.get(name, 1) + 1
            found = f"{name}_{self.counts[name]}"
        self.taken.add(found)
        return found


class Wishes(dict[Traced, str]):
    """What values should be called. `names` are the names that inputs have already."""

    def __init__(self, program: Program, names: dict[Traced, str]):
        super().__init__()
        self.names = names
        for call in each_call(program.calls):
            if call.node is None and call.place is not None and not isinstance(call.fn, Draw):
                self.wish(call.out, sources.names(call)[0])
        for value, _, node in program.names:
            if node is not LEAF:
                self.wish(value, sources.names(node)[0] or _in_layer(node))
        named: set[Any] = set()
        for value, _, node in program.names:  # from the last call to the first
            if node is not LEAF and node.place not in named:
                named.add(node.place)
                self.wish(value, sources.assigned(node.place))
        for value, gradient, _ in program.names:
            if type(value) is Traced:
                self.wish(gradient, f"d_{self.best(value)}")
        for call in program.calls:  # what is turned afterwards to become what has a name
            if call.fn is np.transpose and call.out in self:
                self.wish(call.args[0], f"{self[call.out]}_T")

    def wish(self, value: Any, name: str | None) -> None:
        """Note a name for a value, if it is one and has no better name."""
        if name and type(value) is Traced and value not in self.names:
            self.setdefault(value, name)

    def best(self, value: Traced) -> str:
        """Return what a value should be called: by its name, a wish, or after the function that made it."""
        return self.names.get(value) or self.get(value) or self.plain(value)

    def plain(self, value: Traced) -> str:
        """Name a value after the function that made it."""
        if value.name or value.call is None:
            return value.name or "value"
        call = value.call
        if call.fn in (np.transpose, np.reshape) and type(call.args[0]) is Traced:
            base = self.names.get(call.args[0]) or self.get(call.args[0]) or "view"
            return f"{base}_T" if call.fn is np.transpose else f"{base}_{len(call.out.shape)}d"
        of = getattr(call.fn, "__self__", None)
        fn = of if isinstance(of, np.ufunc) else call.fn
        return facts(fn).result or function_name(fn).rpartition(".")[2]


def _in_layer(node: Any) -> str | None:
    """Name what a layer computes as the course does: z = XW + b and h = g(z)."""
    if not node.scope or node.name == "matmul":
        return None
    return f"{'z' if node.name == 'add' else 'h'}_{node.scope[-1]}"
