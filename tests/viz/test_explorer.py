"""The explorer's file without a browser: what it stores, that it adds up, that it is one safe file."""

import base64
import hashlib
import html
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import nn, viz
from tinygrad_edu.nn import relu, softmax_cross_entropy
from tinygrad_edu.viz.explorer.arrays import Arrays, block_means
from tinygrad_edu.viz.explorer.numbers import rule_with_numbers
from tinygrad_edu.viz.explorer.page import page
from tinygrad_edu.viz.graph import contributions, trace_graph

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "</svg><script>alert(1)</script>",
    "<!--<script>",
    "a\0b",
    "\ud800",
    "\u2028\u2029\u202e",
    "x" * 20_000,
    "@@DATA@@ @@STYLE_HASH@@",
    "';alert(1)//",
    "__proto__",
    "",
]


def leaf(values, name=None):
    return tg.Tensor(values, requires_grad=True, name=name)


def two_layers(batch=32):
    rng = np.random.default_rng(0)
    x, y = rng.random((batch, 784)), np.eye(10)[rng.integers(0, 10, batch)]
    w1, b1 = leaf(rng.normal(0, 0.05, (784, 10)), "l1.W"), leaf(np.zeros(10), "l1.b")
    w2, b2 = leaf(rng.normal(0, 0.3, (10, 10)), "l2.W"), leaf(np.zeros(10), "l2.b")
    with tg.scope("l1"):
        h = relu(x @ w1 + b1)
    with tg.scope("l2"):
        z = h @ w2 + b2
    return softmax_cross_entropy(z, y), (w1, b1, w2, b2)


def data_in(text):
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(block[1])


def unpacked(stored):
    kind = {"f4": "<f4", "f8": "<f8", "i2": "<i2"}[stored["type"]]
    return np.frombuffer(base64.b64decode(stored["data"]), kind)


def sums_on_page(data, moment=0):
    """Follow the page's own record of the backward pass to the last sum that each node shows."""
    arrivals = data["moments"][moment]["arrivals"]
    last = {}
    for edge in sorted((e for e in data["edges"] if e["order"]), key=lambda e: e["order"]):
        if str(edge["order"]) in arrivals:
            last[edge["source"]] = unpacked(data["arrays"][arrivals[str(edge["order"])][1]])
    return {data["nodes"][i]["name"]: numbers for i, numbers in last.items()}


def test_contributions_add_up_to_the_gradients_of_backward():
    rng = np.random.default_rng(0)
    a, b = leaf(rng.random((3, 2)), "a"), leaf(rng.random(2), "b")
    left, right = np.split(np.tanh(a * b), [1])
    loss = np.sum(left) * np.sum(a @ b) + np.mean(np.concatenate([right, a])) + np.sum(b)
    graph = trace_graph(loss, gradients=True)
    sent = contributions(loss, graph)
    loss.backward()
    for node in graph.nodes:
        orders = sorted(edge.order for edge in graph.out_of[node.index] if edge.order in sent)
        if isinstance(node.value, np.ndarray) and orders:
            total = sent[orders[0]]
            for order in orders[1:]:
                total = total + sent[order]
            np.testing.assert_array_equal(total, node.gradient)
    for tensor in (a, b):
        found = next(node for node in graph.nodes if node.label == tensor.name)
        np.testing.assert_array_equal(found.gradient, tensor.grad.data)


def test_the_pages_last_sums_are_the_gradients():
    loss, parameters = two_layers()
    data = data_in(page(loss))
    loss.backward()
    sums = sums_on_page(data)
    for parameter in parameters[1:]:
        np.testing.assert_allclose(sums[parameter.name], parameter.grad.data.ravel(), rtol=1e-6, atol=1e-12)
    averaged = block_means(parameters[0].grad.data, 4096)
    np.testing.assert_allclose(sums["l1.W"], averaged.ravel(), rtol=1e-5, atol=1e-9)


def test_partial_sums_are_those_of_the_backward_pass():
    a = leaf(2.0, "a")
    loss = a * a * a + np.exp(a)
    data = data_in(page(loss))
    orders = [e["order"] for e in data["edges"] if data["nodes"][e["source"]]["name"] == "a"]
    shown = [data["moments"][0]["arrivals"][str(order)] for order in sorted(orders)]
    numbers = [[unpacked(data["arrays"][i])[0] for i in (part, total)] for part, total, _ in shown]
    assert numbers == [
        [np.exp(2.0), np.exp(2.0)],
        [4.0, np.exp(2.0) + 4],
        [4.0, np.exp(2.0) + 8],
        [4.0, np.exp(2.0) + 12],
    ]


def test_nothing_is_written_and_no_hook_is_called():
    a = leaf([1.0, 2.0], "a")
    loss = np.sum(a * a)
    called = []
    a.register_hook(called.append)
    page(loss)
    assert a.grad is None
    assert called == []


def test_the_two_layer_network_of_the_slides_is_small(tmp_path):
    path = viz.explore(two_layers()[0], tmp_path / "explorer.html")
    assert path.stat().st_size < 1_500_000
    data = data_in(path.read_text(encoding="utf-8"))
    weights = next(i for i, node in enumerate(data["nodes"]) if node["name"] == "l1.W")
    images, slopes = data["moments"][0]["nodes"][weights][2:]
    assert (data["arrays"][images]["side"], data["arrays"][slopes]["count"]) == (28, 10)


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (5,), (7, 3, 2), (1, 9000), (9000, 1), (300, 200)])
def test_arrays_keep_their_numbers_or_block_means(shape):
    values = np.random.default_rng(1).normal(size=shape)
    arrays = Arrays()
    stored = arrays.stored[arrays.add(values)]
    numbers = unpacked(stored)
    assert stored["rows"] * stored["columns"] == numbers.size <= 4096
    assert stored["size"] == values.size
    if stored["averaged"]:
        assert abs(numbers).max() < abs(values).max()
    else:
        np.testing.assert_allclose(numbers, values.ravel(), rtol=1e-6)


def test_numbers_that_single_precision_would_lose_are_stored_in_double():
    for values in (np.full(100, 1e-300), np.full(100, 1e300)):
        arrays = Arrays()
        np.testing.assert_array_equal(unpacked(arrays.stored[arrays.add(values)]), values)


def test_what_is_not_finite_is_stored_and_named():
    arrays = Arrays()
    stored = arrays.stored[arrays.add(np.array([np.nan, np.inf, 1.0]))]
    assert stored["word"] == "NaN"
    assert stored["size_of_norm"] is None
    np.testing.assert_array_equal(unpacked(stored), [np.nan, np.inf, 1.0])


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 50))
def test_block_means_are_few_and_keep_the_sum_of_equal_blocks(rows, columns, limit):
    table = np.full((rows, columns), 3.0)
    means = block_means(table, limit)
    assert means.size <= max(limit, 1)
    np.testing.assert_allclose(means, 3.0)


def rules_with_numbers(loss):
    graph = trace_graph(loss, gradients=True)
    edges = sorted((edge for edge in graph.edges if edge.order), key=lambda edge: edge.order)
    return [rule_with_numbers(graph, graph.nodes[edge.target], edge) for edge in edges]


def test_rules_are_shown_with_their_numbers():
    s, t = leaf(3.0, "s"), leaf(5.0, "t")
    assert rules_with_numbers(s * t) == ["s̄ = 1·5 = 5", "t̄ = 1·3 = 3"]
    assert rules_with_numbers(s / t) == ["s̄ = 1/5 = 0.2", "t̄ = −1·0.6/5 = −0.12"]
    x, w, b = np.array([[1.0, 2.0], [3.0, -4.0]]), leaf([[0.5], [2.0]], "W"), leaf([1.0], "b")
    loss = np.sum(x @ w + b)
    assert rules_with_numbers(loss)[1:] == [
        "ā[0, 0] = ḡ[0, 0] = 1",
        "b̄[0] = 1 + 1 = 2",
        "W̄[0, 0] = 1·1 + 3·1 = 4",
    ]
    v = leaf([-1.0, 2.0], "v")
    assert rules_with_numbers(np.mean(np.tanh(v)))[0] == "ā[0] = spread(1/2) = 0.5"
    assert rules_with_numbers(np.sum(relu(v)))[1] == "v̄[1] = 1·[2 > 0] = 1"
    z = leaf([[0.0, 0.0]], "z")
    assert rules_with_numbers(softmax_cross_entropy(z, np.array([[1.0, 0.0]]))) == [
        "z̄[0, 0] = (0.5 − 1)·1/1 = −0.5"
    ]


def test_every_number_shown_is_the_gradient_that_was_sent():
    loss, _ = two_layers(batch=4)
    graph = trace_graph(loss, gradients=True)
    sent = contributions(loss, graph)
    for edge in graph.edges:
        if edge.order:
            text = rule_with_numbers(graph, graph.nodes[edge.target], edge)
            largest = np.max(np.abs(sent[edge.order]))
            shown = float(text.rpartition("= ")[2].replace("−", "-"))
            assert abs(shown) == pytest.approx(largest, rel=1e-3)


def test_a_rule_that_cannot_be_followed_is_shown_without_numbers(twice):
    loss = np.sum(twice(leaf([1.0, 2.0], "x")))
    assert rules_with_numbers(loss)[1] == ""
    assert data_in(page(loss))["computed"]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_data(name):
    with tg.scope(name):
        a = leaf([1.0, 2.0], name)
        loss = np.sum(a * a)
    loss.name = name
    text = page(loss, title=name)
    plain = page(loss * 1.0)
    text.encode()
    assert len(text) < len(plain) + 20_000
    assert [tag.lower() for tag in re.findall(r"<[/!a-zA-Z]+", text)] == [
        tag.lower() for tag in re.findall(r"<[/!a-zA-Z]+", plain)
    ]
    block = text.partition('id="data">')[2].partition("</script>")[0]
    assert block.isascii()
    assert not set("<>&\0") & set(block)
    assert json.loads(block)["nodes"][0]["name"] == viz.words.visible(name)


@given(st.text(max_size=50))
def test_no_name_changes_the_page_around_the_data(name):
    a = leaf(1.0, name)
    text = page(a * a, title=name)
    before, _, rest = text.partition('id="data">')
    assert "</script>" in rest
    assert before == page(leaf(1.0) * 2.0).partition('id="data">')[0]


def test_one_file_that_fetches_nothing():
    text = page(two_layers()[0])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    for part, kind in ((style, "style-src"), (scripts[0], "script-src")):
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    without = text.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(
        r"https?://|@import|url\(|\bsrc=|\bhref=|fetch\(|XMLHttp|\beval\(|innerHTML", without
    )
    assert not re.search(r"<[^>]+\son[a-z]+=", text.partition("<script>")[0])


def test_what_has_no_gradients_can_still_be_explored():
    a = leaf([1.0, 2.0], "a")
    for loss, gradients in ((a * 2.0, True), (np.sum(a), False), (tg.Tensor(1.0), True), (a, True)):
        data = data_in(page(loss, gradients=gradients))
        assert not data["computed"]
        assert data["note"].startswith("gradients: not")
        assert data["moments"][0]["arrivals"] == {}
    with pytest.raises(TypeError, match="Tensor"):
        page(3.0)


def test_layers_and_repeated_stretches_are_boxes():
    h = tg.Tensor(np.ones((2, 3)), name="x")
    for i in range(40):
        with tg.scope(f"dense_{i}"):
            h = np.tanh(h @ leaf(np.eye(3), f"W{i}"))
    data = data_in(page(np.mean(h)))
    (folded,) = [group for group in data["groups"] if group["folded"]]
    assert folded["title"] == "38 × (matmul, tanh)"
    assert {"dense_0", "dense_20", "dense_39"} <= {group["title"] for group in data["groups"]}
    inner = next(group for group in data["groups"] if group["title"] == "dense_20")
    assert data["groups"][inner["parent"]]["folded"]
    assert all(edge["source"] < edge["target"] for edge in data["edges"])


def test_source_lines_are_quoted_around_each_call():
    a = leaf(2.0, "a")
    loss = np.sin(a)  # quoted
    data = data_in(page(loss))
    file, line = data["nodes"][-1]["place"]
    assert data["files"][file]["name"] == "test_explorer.py"
    assert dict(map(tuple, data["files"][file]["lines"]))[line].strip() == "loss = np.sin(a)  # quoted"
    assert "/" not in data["files"][file]["name"]


def test_snapshots_by_hand_keep_each_moment(tmp_path):
    w = leaf(np.full((3, 2), 2.0), "w")
    snapshots = viz.Snapshots()
    for _ in range(3):
        loss = np.sum(w * w)
        snapshots.take(loss)
        loss.backward()
        w.assign(w.data - 0.25 * w.grad.data)
        w.zero_grad()
    data = data_in(viz.explore(snapshots, tmp_path / "training.html").read_text(encoding="utf-8"))
    assert [moment["loss"] for moment in data["moments"]] == ["24", "6", "1.5"]
    assert [moment["label"] for moment in data["moments"]] == ["snapshot 0", "snapshot 1", "snapshot 2"]
    for moment, value in enumerate([4.0, 2.0, 1.0]):
        np.testing.assert_array_equal(sums_on_page(data, moment)["w"], np.full(6, value))


def test_snapshots_are_a_callback_of_fit():
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 5)), np.eye(3)[rng.integers(0, 3, 40)]
    model = nn.Sequential([nn.Dense(4, input_dim=5, activation="relu"), nn.Dense(3, activation="softmax")])
    model.compile(optimizer="sgd", loss="categorical_crossentropy")
    snapshots = viz.Snapshots(lambda: model.loss(y[:8], model(x[:8])), every=2)
    model.fit(x, y, epochs=5, verbose=0, callbacks=[snapshots])
    data = data_in(page(snapshots))
    labels = [moment["label"].partition(":")[0] for moment in data["moments"]]
    assert labels == ["before training", "after epoch 2", "after epoch 4"]
    weights = [i for i, node in enumerate(data["nodes"]) if node["role"] == "parameter"]
    assert len(weights) == 4
    first, last = data["moments"][0]["nodes"], data["moments"][-1]["nodes"]
    assert all(first[i][0] != last[i][0] for i in weights)


def test_snapshots_refuse_what_does_not_fit():
    w = leaf(2.0, "w")
    snapshots = viz.Snapshots()
    with pytest.raises(ValueError, match="no snapshots yet"):
        page(snapshots)
    with pytest.raises(TypeError, match=r"take\(loss\)"):
        snapshots.take()
    with pytest.raises(TypeError, match="function"):
        viz.Snapshots(w * w)
    with pytest.raises(TypeError, match="as a callback"):
        snapshots.on_epoch_end(0, {})
    with pytest.raises(ValueError, match="every="):
        viz.Snapshots(every=0)
    snapshots.take(w * w)
    with pytest.raises(ValueError, match="multiply then, add now"):
        snapshots.take(w + w)
    with pytest.raises(ValueError, match="2 nodes then, 3 now"):
        snapshots.take(np.sin(w) * w)
    assert len(snapshots) == 1


@pytest.mark.slow
def test_many_snapshots_are_thinned_and_the_last_is_kept():
    w = leaf(1.0, "w")
    snapshots = viz.Snapshots(lambda: w * w)
    for step in range(450):
        snapshots.take(label=str(step))
    data = data_in(page(snapshots))
    labels = [int(moment["label"]) for moment in data["moments"]]
    assert len(labels) <= 200
    assert labels[0] == 0
    assert labels[-1] == 449


def test_notebooks_get_a_sandboxed_frame_and_a_still_picture():
    loss, _ = two_layers(batch=4)
    loss.backward()
    bundle = viz.mimebundle(loss)
    frame = re.search(r'<iframe [^>]*sandbox="([^"]*)"[^>]* srcdoc="([^"]*)"></iframe>', bundle["text/html"])
    assert frame[1] == "allow-scripts"
    inside = html.unescape(frame[2])
    assert inside.startswith("<!doctype html>")
    assert data_in(inside)["computed"]
    sanitized = re.sub(r"<(iframe|style).*?</\1>", "", bundle["text/html"], flags=re.DOTALL)
    assert "<script" not in sanitized
    assert re.search(r"<img|<pre", sanitized)
    assert len(bundle["text/html"]) < 1_000_000


def test_notebooks_get_the_picture_of_a_large_graph():
    x = leaf(1.0, "</iframe><script>alert(1)</script>")
    y = x
    for _ in range(400):
        y = np.sin(y) if len(repr(y)) % 2 else np.cos(y)
    shown = viz.mimebundle(y)["text/html"]
    assert "application/json" not in shown
    assert "<script" not in shown
