"""What the arrays of a graph are called on paper: W1 is written W⁽¹⁾, and what has no name gets a letter.

Only a name that could be a variable becomes a symbol. Any other name, however it was chosen, is data: its
array gets a letter, and a legend says what it stands for.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..recording import pick
from .graph import GETITEM, Graph, GraphNode, with_arrays
from .symbols import ATOM, POWER, Symbol, inside_brackets, text_of
from .words import spelled, visible

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
GREEK = {
    **{"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eta": "η", "theta": "θ"},
    **{
        "kappa": "κ",
        "lambda": "λ",
        "mu": "μ",
        "rho": "ρ",
        "sigma": "σ",
        "tau": "τ",
        "phi": "φ",
        "omega": "ω",
    },
}
LONGEST = 24  # characters of a name that is used as a symbol
DEEPEST = 3  # calls that are written inside each other, as in tanh(x·W + b)
LETTERS = {"input": "X", "parameter": "θ", "op": "z", "loss": "J"}


def symbol_name(label: str | None) -> str | None:
    """Return how a variable's name is written in a formula; None if it cannot be written in one.

    >>> [symbol_name(name) for name in ("W1", "b_2", "theta", "y_hat", "dense_1.W", "}{", "two words")]
    ['W⁽¹⁾', 'b⁽²⁾', 'θ', 'ŷ', 'dense_1.W', None, None]
    """
    if not label or len(label) > LONGEST or visible(label) != label:
        return None
    if not all(part.isidentifier() for part in label.split(".")):
        return None
    found = re.fullmatch(r"([^\W\d_]+?)(_?hat)?_?([0-9]*)", label)
    if found is None:
        return label
    base = GREEK.get(found[1], found[1])
    if len(base) != 1 or base == "ḡ":
        return label
    hat = "\u0302" if found[2] else ""
    return unicodedata.normalize("NFC", base + hat) + (layer_number(found[3]) if found[3] else "")


def layer_number(digits: object) -> str:
    """Write the number of a layer as the slides do: ⁽³⁾."""
    return f"⁽{str(digits).translate(RAISED)}⁾"


class Notation:
    """The symbols of one graph's arrays, each array with a symbol of its own.

    `shown` are the indices of the nodes that need a name because a formula differentiates by them.
    """

    def __init__(self, graph: Graph, shown: Iterable[int] = ()):
        self.graph = graph
        self.names: dict[int, str] = {}
        self.legend: dict[int, str] = {}  # what a made-up name stands for, where that is a name too
        self.taken: set[str] = {"ḡ"}
        last = graph.nodes[-1]
        self._take(last.index, symbol_name(last.name) or "J")
        layers = _layer_names(graph)
        wished = {
            node.index: layers.get(node.index) or symbol_name(node.label)
            for node in graph.nodes
            if node is not last
        }
        self._take_all({index: name for index, name in wished.items() if name})
        for index, name in layers.items():
            label = graph.nodes[index].name
            if label and self.names.get(index) == name:
                self.legend[index] = label
        for index in sorted(shown):
            self.name(index)

    def _take(self, index: int, name: str) -> None:
        while name in self.taken:
            name += "′"
        self.taken.add(name)
        self.names[index] = name

    def _take_all(self, wished: dict[int, str]) -> None:
        """Give out names; where several arrays share one, as h does in a loop, they are numbered."""
        uses = Counter(wished.values())
        met: Counter[str] = Counter()
        for index, name in wished.items():
            if uses[name] > 1:
                if not met[name]:
                    met[name] = int(self.graph.nodes[index].role != "input")  # what a loop starts from is h₀
                number = str(met[name]) if met[name] or self.graph.nodes[index].role != "input" else "0"
                met[name] += 1
                self._take(index, name + number.translate(LOWERED))
            else:
                self._take(index, name)

    def name(self, index: int, letter: str = "") -> str:
        """Return an array's symbol, made up now if it has none."""
        if index not in self.names:
            node = self.graph.nodes[index]
            letter = letter or LETTERS[node.role]
            number = 1
            name = letter if node.role != "op" else letter + "₁"
            while name in self.taken:
                number += 1
                name = letter + str(number).translate(LOWERED)
            self._take(index, name)
            if node.label is not None:
                self.legend[index] = node.label
        return self.names[index]

    def symbol(self, index: int, depth: int = 0) -> Symbol:
        """Return an array as a Symbol: its name, or, if it has none, what it was computed as."""
        node = self.graph.nodes[index]
        several = isinstance(node.value, tuple)  # only its parts have names
        if index in self.names or not node.op or (depth >= DEEPEST and not several):
            name = self.name(index)
            return Symbol(name, node.value, POWER if "⁾" in name else ATOM)
        return self.computed(node, depth)

    def computed(self, node: GraphNode, depth: int = 0) -> Symbol:
        """Write what an array was computed as, such as ``h·W + b``: the call itself, run on symbols."""
        record = node.record
        assert record is not None
        inner = {edge.slot: self.symbol(edge.source, depth + 1) for edge in self.graph.into[node.index]}
        arguments = [with_arrays(array, f"arg {i}", inner.get) for i, array in enumerate(record.arrays, 1)]
        if isinstance(record.fn, np.ufunc) and not record.kwargs:
            try:
                with np.errstate(all="ignore"):
                    written = record.fn(*arguments)
                if isinstance(written, Symbol):
                    return written
            except (TypeError, ValueError):  # arrays of a kind that cannot be computed here: name the call
                pass
        while len(arguments) > 1 and arguments[-1] is None:
            arguments.pop()
        if record.fn in (pick, GETITEM):
            inside = inside_brackets(arguments[1]).rstrip(",")
            return Symbol(f"{text_of(arguments[0])[0]}[{inside}]", node.value)
        options = [f"{key}={spelled(value)}" for key, value in record.kwargs.items()]
        return Symbol(f"{visible(node.op)}({', '.join([*map(_spelled, arguments), *options])})", node.value)

    def equations(self, indices: Iterable[int]) -> list[tuple[str, str]]:
        """Pair the symbols of computed arrays with what they were computed as."""
        nodes = [self.graph.nodes[index] for index in indices]
        return [
            (self.name(node.index), visible(tidy(self.computed(node).text), 120))
            for node in nodes
            if node.op and not isinstance(node.value, tuple)
        ]


def _spelled(value: Any) -> str:
    if isinstance(value, Symbol):
        return value.text
    if isinstance(value, (list, tuple)) and any(isinstance(item, Symbol) for item in value):
        return text_of(value)[0]
    return spelled(value)


def tidy(text: str) -> str:
    """Take what a reader does not need out of a formula: parentheses around one symbol, factors of 1.

    >>> tidy("(W⁽²⁾)ᵀ·relu(z⁽¹⁾)"), tidy("(z⁽¹⁾)²"), tidy("(p − Y)·1/4"), tidy("−1 ◦ sin(x)")
    ('W⁽²⁾ᵀ·relu(z⁽¹⁾)', '(z⁽¹⁾)²', '(p − Y)/4', '−sin(x)')
    """
    text = re.sub(r"(?<![\w⁾])\(([^\W\d]+⁽[⁰-⁹¹²³]+⁾[₀-₉]*)\)(?![⁰¹²³⁴-⁹⁻^])", r"\1", text)
    text = text.replace("·1/", "/")
    return re.sub(r"(^|\()−1(?: ◦ |·)", r"\1−", text)


def _layer_names(graph: Graph) -> dict[int, str]:
    """Number the layers whose parameters are called after them: dense.W and dense_1.W are W⁽¹⁾ and W⁽²⁾.

    Inside a layer the last sum or product is its z and its result, if that is something else, its h.
    """
    numbers: dict[str, int] = {}
    names: dict[int, str] = {}
    for node in graph.nodes:
        if not (node.op and node.scope):
            continue
        layer = "/".join(node.scope)
        for edge in graph.into[node.index]:
            source = graph.nodes[edge.source]
            before, _, own = (source.name or "").rpartition(".")
            own_layer = before == layer or before.endswith("/" + layer)
            if source.role == "parameter" and own_layer and symbol_name(own) == own and len(own) <= 6:
                number = layer_number(numbers.setdefault(layer, len(numbers) + 1))
                names[source.index] = own + number
    inside: dict[str, dict[str, int]] = {}
    for node in graph.nodes:
        layer = "/".join(node.scope)
        if node.role == "op" and layer in numbers:
            linear = node.op in ("matmul", "add")
            inside.setdefault(layer, {})["z" if linear else "h"] = node.index
    for layer, found in inside.items():
        for letter, index in found.items():
            if graph.nodes[index].label is None:
                names[index] = letter + layer_number(numbers[layer])
    return names
