"""Names are data: whatever a tensor, layer or picture is called, it is shown as that and nothing more."""

import os
import shutil
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import viz
from tinygrad_edu.viz.words import visible

NAMES = [
    '<x>, URL="javascript:alert(1)", label=<y>',
    '<x>]; evil [label="INJ"]; n [label=<y>',
    'a"]; evil [label="INJ',
    "</svg><script>alert(1)</script>",
    "<b>x</b>",
    "a&b",
    "&lt;b&gt;",
    "&amp;lt;",
    "&eacute;",
    "&#60;",
    'x</TD><TD HREF="javascript:alert(1)">',
    '<IMG SRC="/etc/passwd"/>',
    "\\N",
    "\\G \\L \\E \\T \\H \\n",
    "ends with \\",
    "\\\\",
    "\x1b[31m",
    "a\0b",
    "\ud800",
    "\u202egnp.x",
    "\uffff",
    "",
    "x" * 20_000,
    "a:b",
    "</script><img src=x onerror=alert(1)>",
    "a.png; touch P #.png",
    "]]>",
    "<!-- ",
    "\n\r\t",
    "%s%n{}",
]
ELEMENTS = {"svg", "g", "title", "polygon", "path", "text", "polyline", "ellipse"}
ATTRIBUTES = {
    *(
        "id",
        "class",
        "width",
        "height",
        "viewBox",
        "transform",
        "fill",
        "stroke",
        "stroke-width",
        "points",
        "d",
    ),
    *("text-anchor", "x", "y", "font-family", "font-size", "font-weight", "font-style", "stroke-dasharray"),
    *("{http://www.w3.org/XML/1998/namespace}space", "fill-opacity", "stroke-opacity", "space"),
}
DOTS = [
    dot
    for dot in (
        shutil.which("dot"),
        shutil.which("graphviz-pure") or shutil.which("graphviz-pure", path=os.path.dirname(sys.executable)),
    )
    if dot
]


def drawn(name, dot):
    with tg.scope(name):
        a = tg.Tensor([1.0, 2.0], requires_grad=True, name=name)
        loss = np.sum(a * a)
    loss.name = name
    return viz.draw(loss, gradients=True, title=name or "untitled", dot=dot)


def elements(svg):
    return list(ElementTree.fromstring(svg).iter())


def assert_safe(name, dot):
    plain, parts = elements(drawn("plain", dot).svg), elements(drawn(name, dot).svg)
    assert [part.tag for part in parts] == [part.tag for part in plain]
    for part in parts:
        assert part.tag.rpartition("}")[2] in ELEMENTS
        assert set(part.attrib) <= ATTRIBUTES
    return [part.text or "" for part in parts if part.tag.endswith("}text")]


@pytest.mark.parametrize("dot", DOTS, ids=os.path.basename)
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_hostile_names_are_shown_as_themselves(name, dot):
    shown = assert_safe(name, dot)
    text = visible(name).strip()
    assert sum(text.replace("\u00a0", " ") == line.replace("\u00a0", " ").strip() for line in shown) >= 3


@pytest.mark.slow
@pytest.mark.skipif(not DOTS, reason="no dot")
@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_no_name_changes_what_the_picture_is_made_of(name):
    assert_safe(name, DOTS[-1])


@given(st.text())
def test_text_shows_no_control_characters(name):
    a = tg.Tensor(1.0, requires_grad=True, name=name)
    with tg.scope(name):
        tree = viz.text(a * 2.0)
    tree.encode()
    assert all(
        character == "\n" or character.isprintable() or character == "\u3000" or character.isspace()
        for character in tree
    )
    assert "\x1b" not in tree


@given(st.text())
def test_source_is_dot_that_our_own_identifiers_start(name):
    for line in drawn(name, None).source.splitlines():
        assert line.strip().startswith(
            (
                "digraph",
                "subgraph",
                "n0",
                "n1",
                "n2",
                "graph",
                "node",
                "edge",
                "{rank=same; n",
                "}",
                "label=",
                "color=",
                "style=",
                "fillcolor=",
            )
        )


def test_a_hostile_file_name_is_a_file_name(tmp_path):
    picture = drawn("a", None)
    path = picture.write(tmp_path / "$(touch P); a.png; touch P #.dot")
    assert [path] == list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="null"):
        picture.write(str(tmp_path / "a\0b.dot"))
