"""The formula of a rule: what running the rule on symbols writes down."""

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.viz.formula import rule_text
from tinygrad_edu.viz.graph import trace_graph
from tinygrad_edu.viz.running import on_symbols
from tinygrad_edu.viz.symbols import Symbol


def leaf(shape, name=None):
    values = np.random.default_rng(len(shape)).uniform(0.5, 1.5, shape)
    return tg.Tensor(values, requires_grad=True, name=name)


def formula(result):
    graph = trace_graph(result)
    return rule_text(graph, graph.nodes[-1])


def softmax(z):
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


@tg.primitive(lambda g, y, z, labels: (softmax(z) - labels) * g / len(labels))
def cross_entropy(z, labels):
    return -np.sum(labels * np.log(softmax(z))) / len(labels)


@tg.primitive(lambda g, y, z: g * (z > 0), elementwise=True)
def relu(z):
    return np.maximum(z, 0)


X, W, B, V, S = leaf((4, 3), "x"), leaf((3, 2), "W"), leaf((2,), "b"), leaf((3,), "l1.v"), leaf((), "s")

FORMULAS = [
    (lambda: X @ W, "x̄ = ḡ·Wᵀ   W̄ = xᵀ·ḡ"),
    (lambda: X @ V, "x̄ = ḡ·vᵀ   v̄ = xᵀ·ḡ"),
    (lambda: np.stack([X, X]) @ W, "ā = ḡ·Wᵀ   W̄ = Σ₀ aᵀ·ḡ"),
    (lambda: X @ W + B, "ā = ḡ   b̄ = Σ₀ ḡ"),
    (lambda: X * X, "x̄ = ḡ ◦ x + ḡ ◦ x"),
    (lambda: S * S, "s̄ = ḡ·s + ḡ·s"),
    (lambda: X - V, "x̄ = ḡ   v̄ = Σ₀ (−ḡ)"),
    (lambda: X**2, "x̄ = 2·ḡ ◦ x"),
    (lambda: np.tanh(X), "x̄ = ḡ ◦ (1 − y²)"),
    (lambda: np.exp(X), "x̄ = ḡ ◦ y"),
    (lambda: np.log(X), "x̄ = ḡ/x"),
    (lambda: relu(X), "x̄ = ḡ ◦ [x > 0]"),
    (lambda: np.mean(X), "x̄ = spread(ḡ/12)"),
    (lambda: X[1:], "x̄ = put(ḡ at [1:])"),
    (lambda: X.T, "x̄ = ḡᵀ"),
    (lambda: np.einsum("ij,jk->ik", X, W), "x̄ = einsum('ik,jk->ij', ḡ, W)   W̄ = einsum('ik,ij->jk', ḡ, x)"),
    (lambda: np.concatenate([X, X * 2.0]), "x̄ = split(ḡ)[0]   ā2 = split(ḡ)[1]"),
    (lambda: cross_entropy(X, np.eye(3)[[0, 1, 2, 0]]), "x̄ = (softmax(x) − labels)·ḡ/4"),
]


@pytest.mark.parametrize(("call", "text"), FORMULAS, ids=[text for _, text in FORMULAS])
def test_rules_read_like_a_calculus_sheet(call, text):
    assert formula(call()) == text


@pytest.mark.parametrize("call", [call for call, _ in FORMULAS])
def test_symbols_compute_what_the_rule_computes(call):
    result = call()
    record = result.node
    gradient = np.random.default_rng(9).normal(size=result.shape)
    symbols = [
        Symbol("a", array) if hasattr(array, "dtype") else array
        for array in (record.arrays if not isinstance(record.arrays[0], list) else [list(record.arrays[0])])
    ]
    for vjp in record.rule.vjps or record.rule.vjps_of(record.args):
        if vjp is None:
            continue
        plain = vjp(gradient, result.data, *record.arrays, **record.kwargs)
        written = on_symbols(vjp)(Symbol("ḡ", gradient), Symbol("y", result.data), *symbols, **record.kwargs)
        value = written.value if isinstance(written, Symbol) else written
        for a, b in zip(plain, value, strict=True) if isinstance(plain, list) else [(plain, value)]:
            np.testing.assert_array_equal(a, b)


def test_a_name_that_two_arguments_share_gives_way_to_the_rules_own_letters():
    first, second = leaf((2, 2), "l1.W"), leaf((2, 2), "l2.W")
    assert formula(first @ second) == "ā = ḡ·bᵀ   b̄ = aᵀ·ḡ"


def test_a_rule_that_symbols_cannot_run_is_quoted_from_its_source(twice):
    assert formula(twice(X)) == "x̄ = g * filled"


def test_a_rule_without_source_gives_no_formula():
    space = {"np": np}
    exec("def slope(g, y, x):\n out = np.zeros_like(x)\n out[:] = 2.0\n return g * out", space)

    @tg.primitive(space["slope"])
    def twice(x):
        return x * 2.0

    assert formula(twice(X)) == ""


def test_every_rule_in_the_table_can_be_asked():
    calls = [np.prod, np.var, np.std, np.cumsum, np.sort, np.ravel, np.flip, np.max]
    for call in calls:
        assert formula(call(X)).startswith("x̄ = ")


def test_symbols_do_not_shadow_numbers():
    symbol = Symbol("x", np.array([1.0, 2.0]))
    assert (len(symbol), symbol.shape, symbol.ndim) == (2, (2,), 1)
    assert [part.text for part in symbol] == ["x[0]", "x[1]"]
    assert ((symbol + 1) * 2).text == "2·(x + 1)"
    assert (symbol - (symbol - 1)).text == "x − (x − 1)"
    assert (1 / (symbol / 2)).text == "1/(x/2)"
    assert (-(symbol**2)).text == "−x²"
    assert (symbol * -1.0).text == "x·(−1)"
    assert bool(Symbol("s", np.float64(1.0)) > 0)
