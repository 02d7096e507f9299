"""Pictures of what happened: the graph behind a result, its values and its gradients.

`draw` makes a Graphviz picture, `text` a tree for the terminal, `explore` an HTML page to step through; all
read the same facts (`graph`).
"""

import importlib
import os
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .explorer import Snapshots, explore
    from .picture import Picture
    from .plots import (
        compare_optimizers,
        confusion_matrix,
        gradient_flow,
        learning_curves,
        predictions,
        weights,
    )
    from .plots_model import activations, decision_boundary
    from .plots_surface import loss_surface
    from .watching import GradientNorms, WeightPath

__all__ = [
    "GradientNorms",
    "Snapshots",
    "WeightPath",
    "activations",
    "compare_optimizers",
    "confusion_matrix",
    "decision_boundary",
    "draw",
    "explore",
    "gradient_flow",
    "learning_curves",
    "loss_surface",
    "mimebundle",
    "predictions",
    "text",
    "weights",
]

PLOTS = {  # where each plot (and the explorer) is, so that nobody imports it before they ask for it
    "GradientNorms": "watching",
    "Snapshots": "explorer.snapshots",
    "WeightPath": "watching",
    "activations": "plots_model",
    "compare_optimizers": "plots",
    "confusion_matrix": "plots",
    "decision_boundary": "plots_model",
    "explore": "explorer.page",
    "gradient_flow": "plots",
    "learning_curves": "plots",
    "loss_surface": "plots_surface",
    "predictions": "plots",
    "weights": "plots",
}


def draw(
    loss: Any,
    level: Literal["brief", "normal", "full"] = "normal",
    gradients: Literal["auto"] | bool = "auto",
    *,
    title: str = "",
    limit: int = 150,
    dot: str | os.PathLike[str] | None = None,
    timeout: float = 20.0,
) -> "Picture":
    """Draw the graph that a result was computed by, with its values and gradients.

    Args:
        loss: the Tensor to draw; the picture shows everything it was computed from.
        level: "brief" (names, shapes, norms of gradients), "normal" (values, gradients, rules, source lines)
            or "full" (more numbers).
        gradients: "auto" shows them if some ``.grad`` is there, True computes them for the picture alone,
            False leaves them out. They are those of this loss, from a backward pass run for the picture;
            no ``.grad`` is written and no hook is called.
        title: a heading.
        limit: how many nodes are shown before stretches of the graph are folded into boxes.
        dot: the program that lays the picture out. Otherwise the environment variable TINYGRAD_EDU_DOT,
            ``dot``, or ``graphviz-pure``, whichever is found first.
        timeout: seconds that the program may take.

    Returns:
        A `graphviz.Digraph` with ``source``, ``svg``, ``png`` and ``write("graph.svg")``; notebooks show it.

    Raises:
        ImportError: the Python package graphviz is missing.
        TypeError: `loss` is not a Tensor.
        ValueError: there is no such `level`.

    >>> import tinygrad_edu as tg
    >>> a = tg.Tensor(3.0, requires_grad=True, name="a")
    >>> picture = draw(a * a + 1.0, gradients=True)
    >>> picture.write("graph.svg")  # doctest: +SKIP
    """
    from .graph import contributions, trace_graph

    try:
        from .dot import LEVELS, picture_of
    except ImportError as error:
        raise ImportError(
            f'drawing needs the Python package graphviz ({error}); pip install "tinygrad-edu[viz]" brings it'
        ) from error
    if level not in LEVELS:
        raise ValueError(f"level= takes one of {', '.join(map(repr, LEVELS))}, and got {level!r}")
    graph = trace_graph(loss, gradients)
    seen_singly = level != "brief" and len(graph.nodes) <= limit
    sent = contributions(loss, graph) if seen_singly else {}
    return picture_of(graph, level, title, limit, sent, dot, timeout)


def text(loss: Any, gradients: Literal["auto"] | bool = "auto", *, limit: int = 200) -> str:
    """Return the graph that a result was computed by as a tree of text; it needs neither graphviz nor dot.

    Args:
        loss: the Tensor to start from.
        gradients: as in `draw`.
        limit: how many lines at most.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> w = tg.Tensor([1.0, 2.0], requires_grad=True, name="w")
    >>> print(text(np.sum(w), gradients=True))  # doctest: +ELLIPSIS
    loss: sum(w)  scalar float64  3  gradient 1 ok ...
    └─ w: parameter  (2,) float64  μ 1.5  σ 0.5  ‖gradient‖ 1.414 ok
    """
    from .graph import trace_graph
    from .tree import tree

    return tree(trace_graph(loss, gradients), limit)


def mimebundle(loss: Any, **options: Any) -> dict[str, str]:
    """Return what a notebook shows for a result: the explorer as HTML, a picture as SVG, and text.

    `options` are those of `draw`. Without graphviz or dot, or if dot takes too long, there is no SVG. The
    HTML is a sandboxed frame that holds the explorer (of a graph of more than 300 nodes, the picture), and
    for notebooks that are not trusted, and so show no frames, the picture.

    >>> import tinygrad_edu as tg
    >>> sorted(mimebundle(tg.Tensor(2.0, requires_grad=True) * 3.0))
    ['image/svg+xml', 'text/html', 'text/plain']
    """
    from .explorer import notebook

    return notebook.mimebundle(loss, **options)


def __getattr__(name: str) -> Any:
    """Import a plot or the explorer when it is first asked for."""
    if name in PLOTS:
        return getattr(importlib.import_module(f".{PLOTS[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
