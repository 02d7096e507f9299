"""The factors of one path: local derivatives, each with its formula and what it does to the gradient.

A call that hands its gradient on as it is, such as the sum in ``x @ W + b``, is part of the factor after it,
unless its argument has a name. So the factors are those that one writes on paper.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..rules.printed import source_of
from .graph import Edge, Graph, GraphNode
from .notation import Notation, tidy
from .paths import Step
from .symbols import TIMES, Symbol
from .values import floats, health, readable
from .words import number, visible

FIRST = 4  # numbers of an array that are shown
LONGEST = 140  # characters of a product that is written as one formula


@dataclass(eq=False)
class Factor:
    """One local derivative in a product: what it is, and what it did to the gradient on this path.

    `norm` is that of the gradient after this factor, `growth` its ratio to the norm before, `numbers` its
    first values. `also` is a formula that has the same values as the product up to here, found by comparing
    numbers, such as ``(Ŷ − Y)/N``, and `prediction` says what Ŷ is.
    """

    upper: str
    lower: str
    shape: tuple[int, ...]
    norm: float
    growth: float
    word: str
    numbers: str
    where: str
    layer: str
    also: str = ""
    prediction: str = ""
    first: bool = False
    steps: list[Step] = field(repr=False, default_factory=list)
    notation: Notation | None = field(repr=False, default=None)

    @property
    def op(self) -> str:
        """The call that it is the derivative of, such as ``tanh``."""
        return self.steps[-1].node.op

    @property
    def name(self) -> str:
        """The derivative as it is written, such as ``∂h⁽¹⁾/∂z⁽¹⁾``."""
        return f"∂{self.upper}/∂{self.lower}"

    @property
    def terms(self) -> list[tuple[str, str]]:
        """The derivatives it is written as: one, or two where a prediction Ŷ lies between."""
        if self.first and self.also:
            return [(self.upper, "Ŷ"), ("Ŷ", self.lower)]
        return [(self.upper, self.lower)]

    @cached_property
    def _local(self) -> tuple[str, Any]:
        """Write the local derivative; with it, where it has one for each element, its values."""
        target = self.steps[0].node
        scalar = target.shape == () and not isinstance(target.value, tuple)
        direct = scalar or all(step.diagonal for step in self.steps)
        assert self.notation is not None
        try:
            part: Any = Symbol("1" if direct else "ḡ", _ones(target.value))
            for step in self.steps:
                part = step.write(part, self.notation, False)
        except Exception:  # whatever a rule does that symbols cannot do: its source says the same
            return source_of(self.steps[-1].vjp) or "(its rule cannot be written as a formula)", None
        if not isinstance(part, Symbol):
            return number(part) if np.ndim(part) == 0 else "ḡ", None
        if scalar:
            return re.sub(r"^spread\(([^()]*)\)$", r"\1", tidy(part.text)), None
        if not direct:
            return tidy(_without_gradient(part)), None
        text = tidy(part.within(TIMES))
        return (text if _is_constant(text) else f"◦ {text}"), part.value

    @property
    def formula(self) -> str:
        """The local derivative, as the rule computes it: ``·Wᵀ`` multiplies what came before by Wᵀ."""
        return visible(self._local[0], LONGEST)

    @property
    def note(self) -> str:
        """What else there is to say, in words: a 0/1 mask, a sum that undoes broadcasting."""
        notes = []
        text, slopes = self._local
        if slopes is not None and not _is_constant(text) and readable(slopes) and slopes.size:
            if np.all((slopes == 0) | (slopes == 1)):
                notes.append(f"0/1: {int(slopes.sum()):,} of {slopes.size:,} are 1")
            elif np.ndim(slopes):
                notes.append(f"from {number(slopes.min())} to {number(slopes.max())}")
            else:
                notes.append(number(slopes))
        step = self.steps[-1]
        if _is_constant(text) and self.steps[0].node.shape == () and math.prod(self.shape) > 1:
            notes.append(f"the same for all {math.prod(self.shape):,} elements")
        notes += [step.summed] if step.summed else []
        if sum(edge.source == step.edge.source for edge in step.graph.into[step.node.index]) > 1:
            keys = [key + 1 if isinstance(key, int) else key for key in step.edge.path]
            place = "".join(f", item {key}" for key in keys)
            notes.append(f"as argument {step.edge.position + 1}{place} of {visible(step.node.op)}")
        return "; ".join(notes)


def _ones(value: Any) -> Any:
    return tuple(np.ones_like(part) for part in value) if isinstance(value, tuple) else np.ones_like(value)


def _is_constant(text: str) -> bool:
    return re.fullmatch(r"−?[0-9][0-9./e+-]*", text) is not None


def _without_gradient(symbol: Symbol) -> str:
    """Write a product with the gradient left out of one end: ``ḡ·Wᵀ`` is the factor ``·Wᵀ``."""
    text = symbol.text
    if text == "ḡ":
        return "1"
    if text.count("ḡ") == 1 and symbol.level >= TIMES:
        if text.startswith(("ḡ·", "ḡ ◦ ")):
            return text[1:].strip()
        if text.endswith("·ḡ") and symbol.level != TIMES:
            return text[:-1]
    return text


# for each factor: its steps, the gradient after it, the norm before
Walk = list[tuple[list[Step], Any, float]]


def walk_along(graph: Graph, path: Sequence[Edge]) -> Walk:
    """Send the gradient down one path. A step that hands it on as it is belongs to the factor after it."""
    gradient = np.ones_like(graph.nodes[-1].value)[()]
    walk: Walk = []
    group: list[Step] = []
    before = 1.0
    for edge in path:
        step = Step(graph, edge)
        arrived = step.pull(gradient)
        group.append(step)
        unnamed = step.source.role == "op" and step.source.label is None and edge is not path[-1]
        if isinstance(arrived, tuple) or (unnamed and arrived is gradient):
            gradient = arrived
            continue
        walk.append((group, arrived, before))
        group, gradient, before = [], arrived, health(arrived).norm
    return walk


def factors_of(graph: Graph, notation: Notation, walk: Walk) -> list[Factor]:
    """Write down what became of the gradient on one path."""
    factors = []
    labels: list[GraphNode] = []
    for position, (group, gradient, before) in enumerate(walk):
        node, source = group[0].node, group[-1].source
        norm, word, _ = health(gradient)
        also, prediction = "", ""
        if position < 6:
            for step in group:
                labels += [graph.nodes[edge.source] for edge in graph.into[step.node.index]]
            also, prediction = error_of_prediction(notation, gradient, source, labels)
        with np.errstate(all="ignore"):
            growth = float(np.float64(norm) / np.float64(before))
        factors.append(
            Factor(
                upper=notation.name(node.index),
                lower=notation.name(source.index),
                shape=tuple(np.shape(gradient)),
                norm=norm,
                growth=growth,
                word=word,
                numbers=_first_numbers(gradient),
                where=visible(group[-1].node.where),
                layer="/".join(visible(layer) for layer in group[-1].node.scope),
                also=also,
                prediction=prediction,
                first=position == 0,
                steps=group,
                notation=notation,
            )
        )
    return factors


def _first_numbers(gradient: Any) -> str:
    if not readable(gradient):
        return "not read"
    if gradient.size == 0:
        return "empty"
    shown = [f"{x + 0.0:.3g}" for x in np.ravel(gradient)[:FIRST].tolist()]
    return " ".join(shown) + (" …" if np.size(gradient) > FIRST else "")


def error_of_prediction(
    notation: Notation, gradient: Any, source: GraphNode, labels: Sequence[GraphNode]
) -> tuple[str, str]:
    """Recognize the error of a prediction, (Ŷ − Y)/N, in a gradient by its numbers; say also what Ŷ is."""
    z = source.value
    if not readable(gradient) or not readable(z) or np.ndim(z) == 0 or np.size(z) == 0:
        return "", ""
    with np.errstate(all="ignore"):
        z = floats(z)
        powers = np.exp(z - z.max(-1, keepdims=True))
        guesses = {"softmax": powers / powers.sum(-1, keepdims=True), "sigmoid": 1 / (1 + np.exp(-z))}
        for node in {node.index: node for node in labels}.values():
            truth = _one_hot(node.value, z) if node.role == "input" and readable(node.value) else None
            for name, guess in guesses.items():
                for n in {z.shape[0] if z.ndim > 1 else 1, z.size // z.shape[-1], z.size, 1}:
                    if truth is not None and np.allclose(floats(gradient) * n, guess - truth, 1e-4, 1e-6):
                        error = f"Ŷ − {notation.name(node.index, 'Y')}"
                        error = f"({error})/{n}" if n > 1 else error
                        return error, f"{name}({notation.name(source.index)})"
    return "", ""


def _one_hot(labels: Any, z: Any) -> Any:
    """Return labels in the shape of the logits; None if they are not labels for them."""
    if labels.shape == z.shape:
        return floats(labels)
    if labels.dtype.kind in "iu" and labels.shape == z.shape[:-1]:
        return floats(labels[..., None] == np.arange(z.shape[-1]))
    return None


def product_of(notation: Notation, walk: Walk) -> str:
    """Write the whole product: every rule on the path run on what the one before it wrote."""
    steps = [step for group, _, _ in walk for step in group]
    if not 1 < len(steps) <= 16:
        return ""
    try:
        part: Any = Symbol("1", np.ones_like(steps[0].node.value)[()])
        for step in steps:
            part = step.write(part, notation, True)
    except Exception:  # a rule that symbols cannot run: the factors quote it
        return ""
    text = tidy(part.text) if isinstance(part, Symbol) else ""
    text = re.sub(r"spread\(spread\(([^()]*)\)\)", r"spread(\1)", text)
    if not any("where" in step.node.record.kwargs for step in steps if step.node.record is not None):
        text = text.replace("spread(1) ◦ ", "")
    return text if len(text) <= LONGEST else ""
