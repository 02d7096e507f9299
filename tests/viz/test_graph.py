"""The facts that pictures are made from: nodes, edges, gradients, the order of the backward pass, folding."""

import functools

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import viz
from tinygrad_edu.viz.fold import fold
from tinygrad_edu.viz.graph import trace_graph
from tinygrad_edu.viz.values import health, heatmap, summary


def leaf(values, name=None):
    return tg.Tensor(values, requires_grad=True, name=name)


def found(graph, name):
    return next(node for node in graph.nodes if node.label == name)


def test_every_argument_has_an_edge_and_the_same_array_is_one_node():
    a = leaf(3.0, "a")
    graph = trace_graph(a * a)
    assert [(e.source, e.target, e.slot) for e in graph.edges] == [(0, 1, "arg 1"), (0, 1, "arg 2")]
    batch = np.ones((2, 2))
    graph = trace_graph(np.sum((batch * leaf(np.ones((2, 2)))) @ batch))
    assert [node.role for node in graph.nodes].count("input") == 1


def test_nodes_are_in_topological_order_and_know_their_roles():
    w, x = leaf(np.ones((3, 2)), "w"), np.ones((4, 3))
    with tg.scope("dense"):
        z = x @ w
    graph = trace_graph(np.sum(z))
    assert [node.role for node in graph.nodes] == ["input", "parameter", "op", "loss"]
    assert all(edge.source < edge.target for edge in graph.edges)
    z_node = found(graph, "z")
    assert (z_node.op, z_node.scope, z_node.shape, z_node.dtype) == ("matmul", ("dense",), (4, 2), "float64")
    assert z_node.where.startswith("test_graph.py:")
    assert found(graph, "x").role == "input"


def test_options_are_text_and_not_nodes():
    x = leaf(np.ones((2, 3)), "x")
    calls = [
        (np.sum(x, axis=0), "sum(x, axis=0)"),
        (x[1:, None], "x[1:, None]"),
        (x * 2.5, "multiply(x, 2.5)"),
        (np.reshape(x, (3, 2)), "reshape(x, (3, 2))"),
        (np.concatenate([x, x], axis=1), "concatenate([x, x], axis=1)"),
    ]
    for result, call in calls:
        assert trace_graph(result).nodes[-1].call == call


def test_variables_are_read_from_the_users_line_only_where_the_call_is_that_line():
    def layer(value):
        return np.tanh(value * 2.0)

    first = leaf([1.0])
    second = np.exp(first)
    third = layer(second)
    graph = trace_graph(np.sum(third))
    assert [node.label for node in graph.nodes] == ["first", "second", None, "third", None]
    assert found(graph, "second").call == "exp(first)"


def test_gradients_are_those_of_backward_and_nothing_is_written():
    rng = np.random.default_rng(0)
    x, w, b = leaf(rng.random((4, 3)), "x"), leaf(rng.random((3, 2)), "w"), leaf(rng.random(2), "b")
    h = np.tanh(x @ w + b)
    calls = []
    h.register_hook(lambda gradient: calls.append(gradient))
    loss = np.mean(h * h)
    graph = trace_graph(loss, gradients=True)
    assert calls == []
    assert [t.grad for t in (x, w, b, h)] == [None] * 4
    assert not h.keeps_grad
    assert len(h.hooks) == 1
    h.retain_grad()
    loss.backward()
    for name, tensor in (("x", x), ("w", w), ("b", b), ("h", h)):
        np.testing.assert_array_equal(found(graph, name).gradient, tensor.grad.data)


def test_gradients_are_shown_as_not_computed_until_backward_was_called():
    a = leaf(3.0, "a")
    loss = a * a
    assert not trace_graph(loss).computed
    assert "not computed" in viz.text(loss)
    assert "gradient not computed" in viz.draw(loss).source
    assert "‖gradient‖" not in viz.draw(loss).source
    loss.backward()
    assert trace_graph(loss).computed
    assert not trace_graph(loss, gradients=False).computed


@pytest.mark.parametrize("wish", ["auto", True])
def test_a_result_that_is_no_scalar_has_no_gradients(wish):
    a = leaf([1.0, 2.0])
    np.sum(a).backward()
    graph = trace_graph(a * 2.0, wish)
    assert not graph.computed
    assert "not a scalar" in graph.note


def test_a_rule_that_fails_is_named_instead_of_hiding_the_graph():
    def wrong(g, y, x):
        raise ZeroDivisionError("no such slope")

    @tg.primitive(wrong)
    def odd(x):
        return x * 1.0

    graph = trace_graph(odd(leaf(1.0)), gradients=True)
    assert "ZeroDivisionError: no such slope" in graph.note
    assert "not computed" in viz.draw(odd(leaf(1.0)), gradients=True).source


def test_what_no_gradient_reaches_says_so():
    a, mask = leaf([1.0, 2.0], "a"), leaf([1.0, 0.0], "mask")
    chosen = np.where(mask, a, 0.0)
    source = viz.draw(np.sum(chosen), gradients=True).source
    assert "no gradient reaches it" in source


def test_backward_steps_are_numbered_as_they_run():
    log = []

    def logged(name):
        def vjp(g, y, a, b):
            log.append(name)
            return g

        return vjp

    @functools.cache
    def join(name):
        @tg.primitive(logged(f"{name}.1"), logged(f"{name}.2"), elementwise=True)
        def op(a, b):
            return a + b

        op.__wrapped__.__name__ = name
        return op

    a, b = leaf(1.0, "a"), leaf(2.0, "b")
    left = join("left")(a, b)
    right = join("right")(left, a)
    loss = join("last")(right, left)
    loss.backward()
    ran, log[:] = list(log), []
    graph = trace_graph(loss)
    steps = sorted((edge.order, graph.nodes[edge.target].op, edge.position + 1) for edge in graph.edges)
    assert [f"{op}.{position}" for _, op, position in steps] == ran
    assert [order for order, _, _ in steps] == [1, 2, 3, 4, 5, 6]
    assert graph.paths_back(found(graph, "a").index) == 2


def test_unbroadcasting_is_spelled_out():
    x, b, s = leaf(np.ones((32, 10))), leaf(np.ones(10), "b"), leaf(1.0, "s")
    c = leaf(np.ones((32, 1)), "c")
    graph = trace_graph(((x + b) * s) - c)
    words = {graph.nodes[e.source].label: e.unbroadcast for e in graph.edges if e.unbroadcast}
    assert words == {
        "b": "(32, 10) → sum over axis 0 → (10,)",
        "s": "(32, 10) → sum over axes 0, 1 → scalar",
        "c": "(32, 10) → sum over axis 1 → (32, 1)",
    }
    stack = leaf(np.ones((5, 2, 3)), "stack") @ leaf(np.ones((3, 4)), "w")
    assert [e.unbroadcast for e in trace_graph(stack).edges] == ["", "(5, 3, 4) → sum over axis 0 → (3, 4)"]


def test_a_parameter_shows_the_values_that_the_call_used():
    w = leaf([1.0, 2.0], "w")
    loss = np.sum(w * w)
    w.assign([5.0, 5.0])
    node = found(trace_graph(loss), "w")
    np.testing.assert_array_equal(node.value, [1.0, 2.0])
    assert node.outdated
    assert "assigned new values since" in viz.draw(loss).source


def test_a_held_gradient_that_is_another_is_pointed_out():
    w = leaf([1.0, 2.0], "w")
    loss = np.sum(w * w)
    loss.backward()
    assert ".grad holds another" not in viz.draw(loss).source
    loss.backward()
    assert ".grad holds another, of norm 8.944" in viz.draw(loss).source


def test_only_a_tensor_has_a_graph():
    with pytest.raises(TypeError, match="float"):
        trace_graph(1.0)
    with pytest.raises(ValueError, match="auto"):
        trace_graph(leaf(1.0), gradients="yes")
    assert [node.role for node in trace_graph(leaf(1.0)).nodes] == ["parameter"]
    assert [node.role for node in trace_graph(tg.Tensor(1.0)).nodes] == ["input"]


def test_several_results_and_empty_arrays_are_drawn():
    x = leaf(np.arange(6.0), "x")
    left, right = np.split(x, 2)
    loss = np.sum(left * right)
    loss.backward()
    assert "split" in viz.draw(loss).source
    assert "empty" in viz.draw(np.sum(leaf(np.zeros((0, 3)))), gradients=True).source


def test_norms_have_words():
    cases = {0.0: "dead", 1e-9: "vanishing", 1.0: "ok", 1e9: "exploding", np.nan: "NaN", np.inf: "NaN"}
    for value, word in cases.items():
        assert health(np.array([value, 0.0])).word == word
    assert health(np.array([1e-300, 1e-300])).norm == pytest.approx(2**0.5 * 1e-300)
    assert health(np.float16([60000.0] * 4)).norm == 120000.0


@pytest.mark.parametrize("shape", [(), (3,), (100,), (8, 8), (9, 17), (1, 500), (2, 3, 4, 5)])
def test_heatmaps_are_small_and_symmetric(shape):
    values = np.random.default_rng(1).normal(size=shape)
    cells, mirrored = heatmap(values), heatmap(-values)
    assert 1 <= len(cells) <= 8
    assert all(1 <= len(row) <= 8 for row in cells)
    swap = [["#" + color[5:7] + color[3:5] + color[1:3] for color in row] for row in cells]
    assert mirrored == swap


def test_heatmaps_average_blocks_and_mark_what_is_not_finite():
    assert heatmap(np.repeat([1.0, -1.0], 40))[0] == ["#ff0000"] * 4 + ["#0000ff"] * 4
    assert heatmap(np.array([np.nan, 0.0]))[0] == ["#8e24aa", "#ffffff"]
    assert heatmap(np.zeros((2, 2))) == [["#ffffff"] * 2] * 2


def test_arrays_of_other_libraries_are_not_computed():
    class Lazy:
        shape, dtype, ndim = (3,), np.dtype(float), 1

        def __array__(self, dtype=None, copy=None):
            raise AssertionError("was computed")

    assert summary(Lazy()) == "values not read"
    assert heatmap(Lazy()) == []
    assert health(Lazy()).word == "not read"


def deep(layers):
    h = tg.Tensor(np.ones((2, 3)), name="x")
    for i in range(layers):
        with tg.scope(f"dense_{i}"):
            h = np.tanh(h @ leaf(np.eye(3), f"W{i}") + leaf(np.zeros(3), f"b{i}"))
    return np.mean(h)


def test_repeated_layers_fold_and_few_layers_do_not():
    graph = trace_graph(deep(40))
    (box,) = fold(graph)
    assert box.title == "38 × (matmul, add, tanh)"
    hidden = {graph.nodes[i].scope for i in box.members if graph.nodes[i].op}
    assert hidden == {(f"dense_{i}",) for i in range(1, 39)}
    assert fold(trace_graph(deep(4))) == []
    picture = viz.draw(deep(40)).source
    assert "190 of 202 nodes are folded into 1 grey box" in picture
    assert "dense_1 … dense_38" in picture


def different_calls(n):
    rng = np.random.default_rng(3)
    pool = [leaf(0.1, f"p{i}") for i in range(9)]
    for choice, i, j in rng.integers(0, 9, (n, 3)):
        a, b = pool[-1 - i], pool[j]
        pool.append([np.add, np.multiply, np.maximum][choice % 3](a, b))
    return sum(pool[-9:], start=leaf(0.0))


@pytest.mark.parametrize("limit", [20, 150])
def test_what_does_not_repeat_is_collapsed_to_the_limit(limit):
    graph = trace_graph(different_calls(1500))
    boxes = fold(graph, limit)
    members = [member for box in boxes for member in box.members]
    assert len(members) == len(set(members))
    assert len(graph.nodes) - len(members) + len(boxes) <= limit
    calls = [node.index for node in graph.nodes if node.op]
    for box in boxes:
        inside = [calls.index(i) for i in box.members if graph.nodes[i].op]
        assert inside == list(range(min(inside), max(inside) + 1))


def test_a_crowd_of_arguments_is_folded():
    graph = trace_graph(np.sum(np.stack([leaf(np.ones(2)) for _ in range(500)])))
    (box,) = fold(graph)
    assert box.title == "494 more arguments"


def test_arrows_back_say_what_they_add_and_inputs_how_they_were_cut_off() -> None:
    w = tg.Tensor([3.0, 4.0], requires_grad=True, name="w")
    with tg.no_grad():
        quiet = w * 1
    loss = np.sum(w * w + w * w.detach() + w * quiet)
    loss.backward()
    source = viz.draw(loss).source
    assert "+ ‖5‖" in source  # each of the two uses of w adds w
    assert "detached: no gradient" in source
    assert "computed under no_grad: no gradient" in source
    assert "detached: no gradient" in viz.text(loss)
    assert "+ ‖" not in viz.draw(loss, gradients=False).source
