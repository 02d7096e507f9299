"""What a notebook shows for a result: the explorer in a frame of its own, a still picture, and text.

The frame is sandboxed: its script reaches neither the notebook nor the network. Where a notebook is not
trusted, frames and styles are taken out of what it shows, and the still picture stays: an image, which runs
nothing.
"""

import base64
import html
from typing import Any, Literal

from ..graph import Graph, trace_graph
from ..render import DotError
from ..tree import tree
from .page import page_of
from .snapshots import snapshot_of

MOST_NODES = 300  # a larger graph gets a still picture
BUDGET = 60_000  # numbers in the page: notebooks keep every output
HEIGHT = 640

# the still picture hides itself where the frame before it is shown
STYLE = "<style>iframe.tinygrad-edu-frame + figure.tinygrad-edu-still { display: none }</style>"


def mimebundle(loss: Any, gradients: Literal["auto"] | bool = "auto", **options: Any) -> dict[str, str]:
    """Return what `tinygrad_edu.viz.mimebundle` documents."""
    graph = trace_graph(loss, gradients)
    bundle = {"text/plain": tree(graph)}
    try:
        from .. import draw

        bundle["image/svg+xml"] = draw(loss, gradients=gradients, **options).svg
    except (ImportError, DotError) as error:
        bundle["text/plain"] += f"\n(no picture: {error})"
    bundle["text/html"] = _html(loss, graph, bundle, options.get("title", ""))
    return bundle


def _html(loss: Any, graph: Graph, bundle: dict[str, str], title: str) -> str:
    still = _still(bundle)
    if len(graph.nodes) <= MOST_NODES:
        inside = page_of(*snapshot_of(loss, graph, BUDGET), title=title)
    else:
        inside = f"<!doctype html><meta charset=utf-8><title>Computation graph</title>{still}"
    frame = (
        '<iframe class="tinygrad-edu-frame" title="Gradient explorer" sandbox="allow-scripts" '
        f'width="100%" height="{HEIGHT}" srcdoc="{html.escape(inside)}"></iframe>'
    )
    return f'{STYLE}{frame}<figure class="tinygrad-edu-still">{still}</figure>'


def _still(bundle: dict[str, str]) -> str:
    """Return the picture as an image, or the text where there is no picture."""
    if "image/svg+xml" not in bundle:
        return f"<pre>{html.escape(bundle['text/plain'])}</pre>"
    data = base64.b64encode(bundle["image/svg+xml"].encode()).decode()
    return f'<img alt="The computation graph as a picture" src="data:image/svg+xml;base64,{data}">'
