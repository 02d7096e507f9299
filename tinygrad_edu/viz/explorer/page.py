"""One HTML file out of a template, a style, a script and the data: nothing is fetched, and nothing else runs.

The page's own policy (Content-Security-Policy) names the one style and the one script that may run, by their
hashes. Data is JSON in a block that browsers never execute; the script puts it on the page as text only.
"""

import base64
import hashlib
import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..graph import trace_graph
from ..words import visible
from .snapshots import Snapshots, snapshot_of

SCRIPTS = ("steps.js", "layout.js", "picture.js", "panel.js", "controls.js")  # one script, in this order


def explore(
    loss: Any,
    path: str | os.PathLike[str],
    *,
    title: str = "",
    gradients: bool = True,
    open_all: bool = False,
) -> Path:
    """Write an HTML file to step through the forward and backward pass of a loss, or through its training.

    Args:
        loss: a Tensor; or `Snapshots`, for a page with a slider that moves through the training.
        path: the file to write.
        title: a heading.
        gradients: whether to compute gradients for the page. No ``.grad`` is written and no hook is called.
        open_all: start with all layers and folded stretches open, however large the graph.

    Returns:
        The path. The file needs no network and no server: a browser opens it as it is, on any machine.

    Raises:
        TypeError: `loss` is neither a Tensor nor Snapshots.
        ValueError: the Snapshots are empty.

    >>> import tinygrad_edu as tg
    >>> from tinygrad_edu import viz
    >>> a = tg.Tensor(3.0, requires_grad=True, name="a")
    >>> viz.explore(a * a, "explorer.html")  # doctest: +SKIP
    PosixPath('explorer.html')
    """
    target = Path(path)
    target.write_text(page(loss, title=title, gradients=gradients, open_all=open_all), encoding="utf-8")
    return target


def page(loss: Any, *, title: str = "", gradients: bool = True, open_all: bool = False) -> str:
    """Return the text of the file that `explore` writes.

    >>> import tinygrad_edu as tg
    >>> page(tg.Tensor(2.0, requires_grad=True) * 3.0)[:15]
    '<!doctype html>'
    """
    if isinstance(loss, Snapshots):
        return page_of(*loss.parts(), title=title, open_all=open_all)
    return page_of(*snapshot_of(loss, trace_graph(loss, bool(gradients))), title=title, open_all=open_all)


def page_of(
    facts: dict[str, Any],
    moments: list[dict[str, Any]],
    arrays: list[dict[str, Any]],
    *,
    title: str = "",
    open_all: bool = False,
) -> str:
    """Put the facts about a graph, what was measured at some moments, and their arrays into a page."""
    heading = visible(title, 80) if title else "Gradient explorer"
    data = {**facts, "moments": moments, "arrays": arrays, "title": heading, "openAll": open_all}
    text, style, script = shipped("page.html"), shipped("page.css"), "\n".join(map(shipped, SCRIPTS))
    for mark, part in {
        "STYLE_HASH": sha256(style),
        "SCRIPT_HASH": sha256(script),
        "STYLE": style,
        "SCRIPT": script,
        "DATA": embedded(data),
    }.items():
        text = text.replace(f"@@{mark}@@", part, 1)
    return text


def shipped(name: str) -> str:
    """Read a file that stands beside this one in the package."""
    return files(__package__).joinpath(name).read_text("utf-8")


def sha256(text: str) -> str:
    """Return the hash by which a Content-Security-Policy knows a script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def embedded(data: Any) -> str:
    r"""Write JSON that can stand inside a script element: ASCII, and with no character that HTML reads.

    >>> embedded("</script>&")
    '"\\u003c/script\\u003e\\u0026"'
    """
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
