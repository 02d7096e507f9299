"""Pictures: laid out by the dot that is there, written to files, shown in notebooks, always the same."""

import os
import shutil
import stat
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import graphviz
import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import viz
from tinygrad_edu.viz import render

DOTS = [
    dot
    for dot in (
        shutil.which("dot"),
        shutil.which("graphviz-pure") or shutil.which("graphviz-pure", path=os.path.dirname(sys.executable)),
    )
    if dot
]
EMPTY = "" if os.name == "nt" else "/nowhere"


def network(gradients=True):
    rng = np.random.default_rng(0)
    x, y = rng.random((8, 6)), np.eye(3)[rng.integers(0, 3, 8)]
    h = tg.Tensor(x, name="x")
    for i, (n, m) in enumerate(((6, 4), (4, 3)), 1):
        with tg.scope(f"dense_{i}"):
            w = tg.Tensor(rng.normal(size=(n, m)), requires_grad=True, name=f"dense_{i}.W")
            b = tg.Tensor(np.zeros(m), requires_grad=True, name=f"dense_{i}.b")
            h = np.maximum(h @ w + b, 0.0)
    loss = np.mean((h - y) ** 2)
    if gradients:
        loss.backward()
    return loss


def texts(svg):
    return [part.text or "" for part in ElementTree.fromstring(svg).iter() if part.tag.endswith("}text")]


@pytest.mark.parametrize("dot", DOTS, ids=os.path.basename)
@pytest.mark.parametrize("level", ["brief", "normal", "full"])
def test_every_dot_draws_every_level(dot, level):
    picture = viz.draw(network(), level, dot=dot)
    assert isinstance(picture, graphviz.Digraph)
    shown = "\n".join(texts(picture.svg))
    for word in ("dense_1.W", "parameter", "input", "loss: mean", "ok", "dense_2"):
        assert word in shown
    assert ("μ" in shown) == (level != "brief")
    assert ("min" in shown) == (level == "full")
    assert picture.png.startswith(b"\x89PNG")


@pytest.mark.skipif(not DOTS, reason="no dot")
def test_all_ways_out(tmp_path):
    picture = viz.draw(network())
    for suffix, start in {
        ".svg": b"<?xml",
        ".png": b"\x89PNG",
        ".dot": b"digraph",
        ".GV": b"digraph",
    }.items():
        path = picture.write(tmp_path / f"a picture; touch x #{suffix}")
        assert path.read_bytes().startswith(start)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".GV", ".dot", ".png", ".svg"]
    assert picture.pipe("svg").decode() == picture.svg == picture.pipe("svg", encoding="utf-8")
    rendered = picture.render("graph", directory=tmp_path, format="svg")
    assert Path(rendered).read_text(encoding="utf-8") == picture.svg
    assert picture.copy().svg == picture.svg
    assert set(picture._repr_mimebundle_()) == {"image/svg+xml", "text/plain"}
    assert set(picture._repr_mimebundle_(include=["text/plain"])) == {"text/plain"}
    with pytest.raises(ValueError, match=r"\.jpeg2000"):
        picture.write(tmp_path / "a.jpeg2000")
    with pytest.raises(TypeError, match="renderer"):
        picture.pipe("svg", renderer="cairo")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "graph.svg"
    path.write_text("old")
    with pytest.raises(render.DotError):
        viz.draw(network(), dot=sys.executable).write(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_dot_is_looked_for_in_order(monkeypatch, tmp_path):
    def program(name):
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\nprint('made by {name}')")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    given, variable, dot, pure = map(program, ("given", "variable", "dot", "graphviz-pure"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(render.VARIABLE, str(variable))
    assert render.run_dot("", "svg", given) == b"made by given\n"
    assert render.run_dot("", "svg") == b"made by variable\n"
    monkeypatch.delenv(render.VARIABLE)
    assert render.run_dot("", "svg") == b"made by dot\n"
    dot.unlink()
    assert render.run_dot("", "svg") == b"made by graphviz-pure\n"
    monkeypatch.setenv("PATH", EMPTY)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert render.find_dot() == str(pure)


def test_without_dot_there_is_still_text(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", EMPTY)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    picture = viz.draw(network())
    with pytest.raises(render.DotError, match=r"tinygrad-edu\[viz\]"):
        _ = picture.svg
    assert "matmul" in picture.source
    assert picture.write(tmp_path / "graph.dot").read_text(encoding="utf-8") == picture.source
    assert set(picture._repr_mimebundle_()) == {"text/plain"}
    bundle = viz.mimebundle(network())
    assert set(bundle) == {"text/plain", "text/html"}
    assert "no picture" in bundle["text/plain"]
    monkeypatch.setenv(render.VARIABLE, "no-such-dot")
    with pytest.raises(render.DotError, match="TINYGRAD_EDU_DOT names 'no-such-dot'"):
        _ = picture.svg


@pytest.mark.skipif(os.name == "nt", reason="needs a script")
def test_a_slow_dot_is_stopped(tmp_path):
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    start = time.perf_counter()
    picture = viz.draw(network(), dot=slow, timeout=0.3)
    with pytest.raises(render.DotError, match=r"longer than 0\.3 seconds"):
        _ = picture.png
    assert "longer than" in viz.mimebundle(network(), dot=slow, timeout=0.3)["text/plain"]
    assert time.perf_counter() - start < 10


def test_without_graphviz_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    for module in ("tinygrad_edu.viz.dot", "tinygrad_edu.viz.picture"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(ImportError, match=r'pip install "tinygrad-edu\[viz\]"'):
        viz.draw(network())
    assert "matmul" in viz.text(network())
    assert "no picture" in viz.mimebundle(network())["text/plain"]


def test_a_wrong_level_is_named():
    with pytest.raises(ValueError, match="'brief', 'normal', 'full'"):
        viz.draw(network(), level="verbose")


def test_the_same_graph_gives_the_same_text_in_every_process(tmp_path):
    script = tmp_path / "draw.py"
    script.write_text(
        "import sys\nsys.path.insert(0, sys.argv[1])\nimport test_picture as t\n"
        "from tinygrad_edu import viz\nsys.stdout.buffer.write(viz.draw(t.network(), 'full').source.encode())"
    )
    here = os.path.dirname(__file__)
    outputs = {
        subprocess.run(
            [sys.executable, script, here],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {viz.draw(network(), "full").source.encode()}
    assert here.encode() not in outputs.pop()


@pytest.mark.slow
def test_five_thousand_calls_are_drawn_in_seconds():
    x = tg.Tensor(np.ones(4), requires_grad=True, name="x")
    for i in range(2500):
        x = np.sin(x) if i % 7 else np.cos(x + 1.0)
        x = x * 0.5 if i % 3 else np.tanh(x)
    loss = np.sum(x)
    loss.backward()
    start = time.perf_counter()
    picture = viz.draw(loss)
    shown = picture.svg if DOTS else picture.source
    assert time.perf_counter() - start < 20  # two when nothing else runs
    assert "nodes are folded into" in shown
    assert len(viz.text(loss).splitlines()) <= 202


def test_text_writes_what_is_shared_once():
    a = tg.Tensor(1.0, requires_grad=True, name="a")
    for _ in range(20):
        a = a * a
    lines = viz.text(a).splitlines()
    assert len(lines) < 100
    assert "see above" in lines[-2]
