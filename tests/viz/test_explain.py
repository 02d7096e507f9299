"""The chain rule in words: paths, factors, what they add up to, and names that stay names."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser

import tinygrad_edu as tg
from tinygrad_edu import nn
from tinygrad_edu.viz.chain import explain
from tinygrad_edu.viz.latex import GREEK_NAMES, fraction, latex, prose
from tinygrad_edu.viz.telling import equations


def leaf(*shape, name=None, scale=1.0):
    values = scale * np.random.default_rng(len(shape)).normal(size=shape)
    return tg.Tensor(values, requires_grad=True, name=name)


def slides_network():
    X, Y = np.random.default_rng(5).normal(size=(4, 3)), np.eye(3)[[0, 1, 2, 0]]
    W1, W2, W3 = leaf(3, 5), leaf(5, 6), leaf(6, 3)
    b1, b2, b3 = leaf(5), leaf(6), leaf(3)
    z1 = X @ W1 + b1
    h1 = nn.relu(z1)
    z2 = h1 @ W2 + b2
    h2 = nn.relu(z2)
    z3 = h2 @ W3 + b3
    J = nn.softmax_cross_entropy(z3, Y)
    return J, (W1, W2, W3), (b1, b2, b3)


def assert_paths_add_up(loss, wrt):
    """The contributions of the paths, found one by one, must be what backward finds all at once."""
    explanation = explain(loss, wrt=wrt)
    wrt.retain_grad()
    wrt.zero_grad()
    loss.backward()
    expected = wrt.grad.data
    np.testing.assert_array_equal(explanation.gradient, expected)
    assert explanation.count == len(explanation.paths) == len(explanation.contributions)
    np.testing.assert_allclose(sum(explanation.contributions), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(
        sum(u.contribution for u in explanation.uses if u.paths), expected, rtol=1e-12, atol=1e-13
    )
    return explanation


# the slides


def test_the_slides_three_lines():
    J, weights, biases = slides_network()
    written = [str(explain(J, wrt=W)).split("\n")[2] for W in weights]
    start = "∂J/∂Ŷ · ∂Ŷ/∂z⁽³⁾ · "
    assert written[2] == f"∂J/∂W⁽³⁾ = {start}∂z⁽³⁾/∂W⁽³⁾"
    assert written[1] == f"∂J/∂W⁽²⁾ = {start}∂z⁽³⁾/∂h⁽²⁾ · ∂h⁽²⁾/∂z⁽²⁾ · ∂z⁽²⁾/∂W⁽²⁾"
    assert written[0] == (
        f"∂J/∂W⁽¹⁾ = {start}∂z⁽³⁾/∂h⁽²⁾ · ∂h⁽²⁾/∂z⁽²⁾ · ∂z⁽²⁾/∂h⁽¹⁾ · ∂h⁽¹⁾/∂z⁽¹⁾ · ∂z⁽¹⁾/∂W⁽¹⁾"
    )
    (path,) = explain(J, wrt=weights[0]).paths
    assert [factor.also or factor.formula for factor in path] == [
        "(Ŷ − Y)/4",
        "·W⁽³⁾ᵀ",
        "◦ [z⁽²⁾ > 0]",
        "·W⁽²⁾ᵀ",
        "◦ [z⁽¹⁾ > 0]",
        "Xᵀ·",
    ]
    assert path[0].formula == "(softmax(z⁽³⁾) − Y)/4"
    assert path[0].prediction == "softmax(z⁽³⁾)"
    assert all(path[i].note.startswith("0/1: ") for i in (2, 4))
    assert [explain(J, wrt=W).paths[0][-1].formula for W in weights] == ["Xᵀ·", "h⁽¹⁾ᵀ·", "h⁽²⁾ᵀ·"]
    for b in biases:
        last = explain(J, wrt=b).paths[0][-1]
        assert (last.formula, last.note) == ("1", "sum over axis 0")


def test_factors_say_what_becomes_of_the_gradient():
    J, (W1, _, _), _ = slides_network()
    explanation = assert_paths_add_up(J, W1)
    (path,) = explanation.paths
    assert [factor.shape for factor in path] == [(4, 3), (4, 6), (4, 6), (4, 5), (4, 5), (3, 5)]
    assert path[-1].norm == pytest.approx(np.linalg.norm(W1.grad.data))
    assert np.prod([factor.growth for factor in path]) == pytest.approx(path[-1].norm)
    assert all(factor.where.startswith("test_explain.py:") for factor in path)
    first = path[-1].numbers.split()
    np.testing.assert_allclose([float(x) for x in first[:4]], W1.grad.data.ravel()[:4], rtol=1e-2)
    assert "z⁽¹⁾ = X·W⁽¹⁾ + b⁽¹⁾" in explanation.text()
    assert explanation.products[0].startswith("Xᵀ·(")


def test_layers_are_numbered_in_the_order_they_are_used():
    model = nn.Sequential(
        [nn.Dense(5, activation="relu", input_dim=3), nn.Dense(4, activation="tanh"), nn.Dense(2)]
    )
    with np.errstate(all="ignore"):
        J = nn.softmax_cross_entropy(model(np.ones((4, 3), np.float32)), np.array([0, 1, 1, 0]))
    explanation = explain(J, wrt=model.layers[0].W)
    assert [factor.name for factor in explanation.paths[0]] == [
        *("∂J/∂z⁽³⁾", "∂z⁽³⁾/∂h⁽²⁾", "∂h⁽²⁾/∂z⁽²⁾", "∂z⁽²⁾/∂h⁽¹⁾", "∂h⁽¹⁾/∂z⁽¹⁾", "∂z⁽¹⁾/∂W⁽¹⁾"),
    ]
    assert explanation.paths[0][0].also.startswith("(Ŷ − ")
    assert "W⁽¹⁾ is called dense.W" in explanation.text()
    assert explanation.paths[0][4].layer == "dense"


@pytest.mark.parametrize("softmax", [nn.softmax, lambda z: np.exp(z) / np.sum(np.exp(z), 1, keepdims=True)])
def test_the_error_of_the_prediction_is_found_behind_separate_steps(softmax):
    W, X, Y = leaf(3, 2, name="W"), np.arange(12.0).reshape(4, 3) / 10, np.eye(2)[[0, 1, 1, 0]]
    z = X @ W
    loss = -np.sum(Y * np.log(softmax(z))) / 4
    shown = str(assert_paths_add_up(loss, W))
    assert "(Ŷ − Y)/4 with Ŷ = softmax(z)" in shown
    assert "(Ŷ − Y)/4" not in str(explain(np.sum(Y * softmax(z)), wrt=W))


# paths


def test_scalars():
    a, b = tg.Tensor(3.0, requires_grad=True), tg.Tensor(2.0, requires_grad=True)
    explanation = assert_paths_add_up(a * a + a * b, a)
    assert [[f.formula for f in path] for path in explanation.paths] == [["a"], ["a"], ["b"]]
    assert "3 + 3 + 2 = 8" in str(explanation)
    assert "as argument 1 of multiply" in str(explanation)
    assert "as argument 2 of multiply" in str(explanation)


CALLS = [
    lambda a, b: a * b,
    lambda a, b: a + b,
    lambda a, b: a - a,
    lambda a, b: a @ b,
    lambda a, b: np.tanh(a) + b[0],
    lambda a, b: np.maximum(a, b),
    lambda a, b: np.concatenate([a[:1], b, a])[1:3],
    lambda a, b: np.stack([a, b, a]).sum(axis=0),
    lambda a, b: np.split(a, 2)[0] * b,
    lambda a, b: np.einsum("ij,jk->ik", a, b),
    lambda a, b: a.T * np.mean(b, axis=0),
    lambda a, b: nn.softmax(a),
]


@given(
    st.lists(st.tuples(st.sampled_from(CALLS), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=4)
)
def test_the_paths_of_random_programs_add_up_to_the_gradient(program):
    pool = [leaf(2, 2, name="A"), leaf(2, 2, name="B", scale=0.5)]
    for call, i, j in program:
        pool.append(call(pool[i % len(pool)], pool[j % len(pool)]))
    loss = np.sum(pool[-1] * pool[0])
    explanation = explain(loss, wrt=pool[0])
    if explanation.count == len(explanation.paths):
        assert_paths_add_up(loss, pool[0])
    for told in (explanation.text(), explanation.markdown(), explanation.latex()):
        assert told


def test_results_on_the_way_can_be_explained_too():
    a = leaf(2, 2, name="a")
    inner = [np.tanh(a)]
    assert_paths_add_up(np.sum(inner[0] + a), inner[0])
    explanation = explain(np.sum(a), wrt=a)
    assert [factor.formula for factor in explanation.paths[0]] == ["1"]
    loss = np.sum(a)
    assert "∂J/∂J = 1" in str(explain(loss, wrt=loss))


def loop(steps, scale=0.4):
    W, h = leaf(2, 2, name="W", scale=scale), np.ones((1, 2))
    for _ in range(steps):
        h = np.tanh(h @ W)
    return np.sum(h), W


def test_a_shared_weight_has_a_path_for_each_use():
    explanation = assert_paths_add_up(*loop(5))
    assert [len(path) for path in explanation.paths] == [11, 9, 7, 5, 3]
    assert [use.call for use in explanation.uses] == ["h₀·W", "h₁·W", "h₂·W", "h₃·W", "h₄·W"]
    assert [path[-1].formula for path in explanation.paths] == [f"h{i}ᵀ·" for i in "₀₁₂₃₄"]


def test_long_products_are_folded_and_the_vanishing_factor_is_named():
    loss, W = loop(30, scale=0.1)
    explanation = explain(loss, wrt=W)
    assert (explanation.count, len(explanation.paths), len(explanation.uses)) == (30, 16, 30)
    shown = str(explanation)
    assert "(53 more)" in shown
    assert "more factors …  together ×" in shown
    assert "… 18 more …" in shown
    assert "vanishes (falls below 1e-06) at ∂" in shown
    assert re.search(r"All \d+ factors of (tanh|matmul) together shrink it [\d.,e+]+-fold", shown)
    longest = max(explanation.paths, key=len)
    first = next(factor for factor in longest if factor.norm < 1e-6)
    assert f"at {first.name} = {first.formula}" in shown
    assert re.search(rf"^{first.name} .* vanishing ", shown, re.MULTILINE)
    assert len(shown.splitlines()) < 140
    total = sum(use.contribution for use in explanation.uses)
    np.testing.assert_allclose(total, explanation.gradient, rtol=1e-12)


def residual(blocks):
    W, h = leaf(2, 2, name="W", scale=0.3), np.ones((1, 2))
    for _ in range(blocks):
        h = h + np.tanh(h @ W)
    return np.sum(h), W


@pytest.mark.parametrize("blocks", [1, 2, 3, 4])
def test_residual_paths_are_counted_and_add_up(blocks):
    assert assert_paths_add_up(*residual(blocks)).count == 2**blocks - 1


def test_exponentially_many_paths_are_counted_and_some_are_walked():
    explanation = explain(*residual(40))
    assert explanation.count == 2**40 - 1
    assert len(explanation.paths) == 16
    assert len({tuple(id(step.edge) for f in path for step in f.steps) for path in explanation.paths}) == 16
    shown = str(explanation)
    assert "1,099,511,627,775 paths" in shown
    assert "1,099,511,627,759 other paths together" in shown
    total = sum(use.contribution for use in explanation.uses)
    np.testing.assert_allclose(total, explanation.gradient, rtol=1e-9)


def test_thousands_of_steps_take_a_moment():
    x = tg.Tensor(np.ones(3), requires_grad=True, name="x")
    h = x
    for _ in range(500):
        h = h + np.sin(h)
    explanation = explain(np.sum(h), wrt=x)
    assert explanation.count == 2**500
    assert "about 10^151 paths" in str(explanation)


# health


def test_the_factor_is_named_at_which_a_gradient_breaks():
    x = tg.Tensor(np.array([-1.0, -2.0]), requires_grad=True, name="x")
    assert "dies (all of it is 0) at ∂h/∂x = ◦ [h > 0]" in told_of(x, lambda x: nn.relu(x), "h").replace(
        "[x > 0]", "[h > 0]"
    )
    assert "explodes (rises above 1000) at ∂h/∂x = 1e+04" in told_of(x, lambda x: x * 1e4, "h")
    with np.errstate(all="ignore"):
        assert "stops being a number at ∂h/∂x" in told_of(x, lambda x: np.log(x * 0.0 - 0.0), "h", "z₁")


def told_of(x, call, name, other="x"):
    h = call(x)
    h.name = name
    return str(explain(np.sum(h), wrt=x)).replace(f"∂h/∂{other}", "∂h/∂x")


def test_layers_are_named():
    with tg.scope("dense_3"):
        h = nn.relu(leaf(2, name="a") - 100.0)
    a = h.node.args[0].node.args[0]
    assert "of layer dense_3" in str(explain(np.sum(h), wrt=a))


def test_nothing_is_written_and_no_hook_is_called():
    a = leaf(2, name="a")
    h = np.tanh(a)
    calls = []
    h.register_hook(lambda gradient: calls.append(gradient))
    explain(np.sum(h * h), wrt=a)
    assert (a.grad, h.grad, calls, h.keeps_grad) == (None, None, [], False)


def test_a_rule_that_symbols_cannot_run_is_quoted(twice):
    x = leaf(2, name="x")
    explanation = assert_paths_add_up(np.sum(twice(x)), x)
    assert explanation.paths[0][-1].formula == "g * filled"
    assert explanation.products == [""]


def test_arrays_of_other_libraries_are_not_computed():
    da = pytest.importorskip("dask.array")
    W = tg.Tensor(np.ones((3, 2)), requires_grad=True, name="W")

    def unread(block):
        raise AssertionError("was computed")

    x = tg.Tensor(da.ones((8, 3), chunks=4).map_blocks(unread, dtype=float, meta=np.empty((0, 0))))
    shown = str(explain(np.sum(np.tanh(x @ W)), wrt=W))
    assert "Xᵀ·" in shown or "xᵀ·" in shown
    assert "not read" in shown


# errors


def test_what_cannot_be_explained_says_why():
    a, b = leaf(2, name="a"), leaf(2, name="b")
    with pytest.raises(TypeError, match="loss is a float"):
        explain(1.0, wrt=a)
    with pytest.raises(TypeError, match="wrt is a str"):
        explain(np.sum(a), wrt="a")
    with pytest.raises(ValueError, match=r"scalar loss.*\(2,\)"):
        explain(a * 2.0, wrt=a)
    with pytest.raises(ValueError, match="not computed from b; it was computed from a"):
        explain(np.sum(a), wrt=b)
    with pytest.raises(ValueError, match="requires_grad=True"):
        explain(np.sum(a), wrt=tg.Tensor([1.0], name="c"))


def test_a_gradient_that_does_not_arrive_is_explained():
    a, mask = leaf(2, name="a"), leaf(2, name="mask")
    explanation = explain(np.sum(np.where(mask, a, 0.0)), wrt=mask)
    assert (explanation.count, explanation.gradient, explanation.paths) == (0, None, [])
    shown = str(explanation)
    assert "No gradient of J reaches mask" in shown
    assert "where(mask, a, 0)" in shown
    assert "No gradient" in explanation.markdown()
    assert "No gradient" in explanation.latex()


# three ways to tell it, and names that are only names


COMMANDS = {
    *("frac", "partial", "cdot", "circ", "mathrm", "text", "top", "prime", "hat", "bar", "tilde", "dot"),
    *("begin", "end", "hline", "ldots", "times", "geq", "leq", "neq", "sqrt", "infty", "vert", "Vert", "to"),
    *("backslash", "wedge", "sim", "sum", "{", "}", "$", "%", "#", "&", "_", "\\", ";"),
    *GREEK_NAMES.split(),  # the letters that a name may spell
}
HOSTILE = [
    r"\input{/etc/passwd}",
    r"\write18{rm}",
    "$x$",
    "$$",
    "%",
    "}{",
    r"\N",
    "a\0b",
    "x" * 20_000,
    "<script>alert(1)</script>",
    "a|b",
    "`code`",
    "\\",
    r"\end{aligned}",
    "[x](javascript:alert(1))",
    "![x](http://a.b/c.png)",
    "#&~^_",
    "\u202egnp.x",
    "\ud800",
    "\n\n# title",
    "W⁽¹⁾",
    "x²",
    "ḡ",
    "Ŷ",
    "J",
    "_",
    "é",
    "日本",
    "",
]


def named(name):
    with tg.scope(name):
        w = tg.Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True, name=name)
        h = nn.relu(np.array([[1.0, -2.0]]) @ w)
    h.name = name
    loss = np.sum(np.tanh(h))
    loss.name = name
    return explain(loss, wrt=w)


def assert_harmless(explanation):
    shown, page, formulas = explanation.text(), explanation.markdown(), explanation.latex()
    for told in (shown, page, formulas):
        told.encode()
        assert all(c == "\n" or c.isprintable() or c.isspace() for c in told)
        assert "\x1b" not in told
        assert len(told) < 20_000
    assert set(re.findall(r"\\([A-Za-z]+|.)", formulas.replace("\n", " "))) <= COMMANDS
    assert re.findall(r"\\(?:begin|end)\{(\w+)\}", formulas) == [
        *("gathered", "aligned", "aligned", "array", "array", "gathered")
    ]
    depth = list(itertools.accumulate({"{": 1, "}": -1}.get(c, 0) for c in re.sub(r"\\[{}]", "", formulas)))
    assert min(depth) >= 0 == depth[-1]
    outside = re.sub(r"\$\$.*?\$\$|\$[^$\n]*\$", "", page, flags=re.DOTALL)
    assert not re.search(r"[<>`$\\]|\]\(|!\[|://", outside)
    assert {line.count("|") for line in page.splitlines() if line.startswith("|")} == {9}
    assert not re.search(r"<(?! )", page)
    assert not re.search(r"^#", page, re.MULTILINE)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_only_names(name):
    explanation = named(name)
    assert_harmless(explanation)
    assert_valid(explanation)


@given(st.text(max_size=30))
def test_no_name_changes_what_is_told(name):
    assert_harmless(named(name))


def assert_valid(explanation):
    """Every formula must be accepted by a program that typesets LaTeX's mathematics."""
    parts = [*equations(explanation), fraction(explanation.loss, explanation.wrt)]
    for path in explanation.paths:
        parts += [latex(factor.formula) for factor in path]
    parts += [latex(text) for pair in explanation.equations() for text in pair]
    parts += [latex(symbol) + prose(name) for symbol, name in explanation.legend]
    parser = MathTextParser("path")
    for part in sorted(set(parts)):
        parser.parse(f"${part.replace(chr(92) + '&', '+')}$")  # matplotlib does not know an escaped &


@pytest.mark.slow
def test_formulas_are_valid_latex():
    J, weights, biases = slides_network()
    for wrt in (*weights, *biases):
        explanation = explain(J, wrt=wrt)
        assert_valid(explanation)
        assert_harmless(explanation)
    for call in CALLS:
        a = leaf(2, 2, name="a")
        assert_valid(explain(np.sum(np.sqrt(np.abs(call(a, leaf(2, 2, name="b")))) ** 2.5), wrt=a))


def test_latex_reads_unicode():
    cases = {
        "W⁽¹⁾₁ᵀ": r"W_{1}^{(1)\top}",
        "1e-09": r"1\times 10^{-9}",
        "ŷ ◦ (1 − ŷ)": r"\hat{y} \circ  (1 - \hat{y})",
        "einsum('ij,jk->ik', ḡ, x)": r"\mathrm{einsum}(\text{'ij,jk->ik'}, \bar{g}, x)",
        "x^0.5": "x{}^{0.5}",
        "b̄ + a\u0323": r"\bar{b} + \text{a}",
        "√(a + 1)/√z₁": r"\sqrt{a + 1}/\sqrt{z_{1}}",
        "Σ₀ θ": r"\sum _{0} \theta ",
        "dense_1.W": r"\mathrm{dense\_1.W}",
    }
    for text, expected in cases.items():
        assert latex(text) == expected
    assert prose("50% {a}") == r"\text{50}\%\text{ }\{\text{a}\}"


def test_notebooks_show_it():
    J, (W1, _, _), _ = slides_network()
    explanation = explain(J, wrt=W1)
    assert repr(explanation) == str(explanation) == explanation.text()
    assert explanation._repr_latex_() == f"$${explanation.latex()}$$"
    assert explanation._repr_markdown_() == explanation.markdown()
    page = explanation.markdown()
    assert r"\frac{\partial J}{\partial W^{(1)}} & = \frac{\partial J}{\partial \hat{Y}}\cdot " in page
    assert r"| $\frac{\partial h^{(2)}}{\partial z^{(2)}}$ | $\circ  [z^{(2)} >  0]$; 0/1: " in page


def test_the_demo_tells_its_three_stories(tmp_path):
    demo = Path(__file__).parents[2] / "demos" / "chain_rule.py"
    command = [sys.executable, "-W", "error", str(demo), "--out", str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    for line in (
        "∂J/∂W⁽³⁾ = ∂J/∂Ŷ · ∂Ŷ/∂z⁽³⁾ · ∂z⁽³⁾/∂W⁽³⁾",
        "= ∂J/∂Ŷ · ∂Ŷ/∂z⁽³⁾ = (Ŷ − Y)/32 with Ŷ = softmax(z⁽³⁾)",
        "All 9 factors of sigmoid together shrink it",
        "30 paths lead from J to W, which is used 30 times",
    ):
        assert line in told
    assert (tmp_path / "chain_rule.md").read_text(encoding="utf-8").count("$$") == 8
