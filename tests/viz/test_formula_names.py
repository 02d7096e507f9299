"""A formula says what the code does, whatever things are called: functions are known by what they are."""

import functools
import subprocess
import sys
import types

import numpy as np
import pytest
from scipy import special

import tinygrad_edu as tg
from tinygrad_edu.rules import READS, reductions
from tinygrad_edu.viz.formula import rule_text
from tinygrad_edu.viz.graph import trace_graph
from tinygrad_edu.viz.symbols import Symbol

X = tg.Tensor(np.arange(1.0, 13.0).reshape(4, 3) / 8, requires_grad=True, name="x")


def formula_of(vjp, x=X):
    """Return the formula of a function with this rule."""

    @tg.primitive(vjp)
    def doubled(x):
        return x * 2.0

    graph = trace_graph(doubled(x))
    return rule_text(graph, graph.nodes[-1])


def hundredfold(x, *_):
    return x * 100.0


def called(name):
    """Return `hundredfold` under another name."""
    return types.FunctionType(hundredfold.__code__, hundredfold.__globals__, name)


NUMPY_NAMES = ("sum", "exp", "mean", "transpose", "zeros_like", "ones_like", "squeeze", "dot", "inv")


@pytest.mark.parametrize("name", sorted({*(helper.__name__ for helper in READS), *NUMPY_NAMES}))
@pytest.mark.parametrize("arguments", ["x", "x, x", "x, x, 0", "x, g, y, x, 0"])
def test_a_function_of_ones_own_is_not_written_as_another_of_its_name(name, arguments):
    space = {"np": np, name: called(name)}
    exec(f"def slope(g, y, x):\n    return g * {name}({arguments})", space)
    assert formula_of(space["slope"]) == "x̄ = ḡ ◦ 100·x"


def through(row):
    """Return a rule that has a helper in its closure."""
    return lambda g, y, x: g * row(x)


class Namespace:
    first = staticmethod(called("first"))
    sum = staticmethod(lambda x: x * 100.0)

    def like(self, x, *_):
        return x * 100.0

    def rule(self, g, y, x=None):
        return g * (x * 100.0)


def nested(g, y, x):
    def column(x):
        return x * 100.0

    return g * column(x)


def wrapped(g, y, x):
    return g * hundred(x)


@functools.wraps(reductions.others)
def hundred(x):
    return x * 100.0


first = called("first")
own_module = types.ModuleType("own")
own_module.first, own_module.exp = first, called("exp")
WAYS = {
    "global": lambda g, y, x: g * first(x),
    "closure": through(first),
    "lambda": through(lambda x: x * 100.0),
    "nested function": nested,
    "class attribute": lambda g, y, x: g * Namespace.first(x),
    "method": lambda g, y, x: g * Namespace().like(x, g, 0),
    "bound method": through(Namespace().like),
    "namespace": lambda g, y, x, np=Namespace: g * np.sum(x),
    "module": lambda g, y, x: g * own_module.first(x),
    "module with NumPy's names": lambda g, y, x: g * own_module.exp(x),
    "partial": through(functools.partial(first)),
    "default": lambda g, y, x, like=first: g * like(x),
    "keyword default": lambda g, y, x, *, like=first: g * like(x),
    "wrapper of another": wrapped,
    "rule in a partial": functools.partial(lambda f, g, y, x: g * f(x), first),
    "rule that is a method": Namespace().rule,
}


@pytest.mark.parametrize("vjp", WAYS.values(), ids=WAYS)
def test_whichever_way_the_rule_comes_by_it(vjp):
    assert formula_of(vjp) == "x̄ = ḡ ◦ 100·x"


def scaled(x, negative=False, power=None):
    return (-x if negative else x) ** (power or 1)


def test_a_name_that_nobody_else_has_is_written_with_all_that_it_is_given():
    assert formula_of(lambda g, y, x: g * hundredfold(x)) == "x̄ = ḡ ◦ hundredfold(x)"
    assert formula_of(lambda g, y, x: g * scaled(x)) == "x̄ = ḡ ◦ scaled(x)"
    assert formula_of(lambda g, y, x: g * scaled(x, False, None)) == "x̄ = ḡ ◦ scaled(x)"
    assert formula_of(lambda g, y, x: g * scaled(x, True)) == "x̄ = ḡ ◦ scaled(x, True)"
    assert formula_of(lambda g, y, x: g * scaled(x, negative=True)) == "x̄ = ḡ ◦ scaled(x, negative=True)"


others = mine = reductions.others
FINDS = {
    "global": lambda g, y, x: g * others(x, 0),
    "another name": lambda g, y, x: g * mine(x, 0),
    "closure": (lambda like: lambda g, y, x: g * like(x, 0))(others),
    "module": lambda g, y, x: g * reductions.others(x, 0),
    "module of a module": lambda g, y, x: g * tg.rules.reductions.others(x, 0),
    "default": lambda g, y, x, f=others: g * f(x, 0),
    "partial": through(functools.partial(others, axis=0)),
}


@pytest.mark.parametrize("vjp", FINDS.values(), ids=FINDS)
def test_a_helper_of_the_rules_is_found_by_what_it_is(vjp):
    assert formula_of(vjp) == "x̄ = ḡ ◦ others(x)"


def filled(g, y, x):
    out = np.zeros_like(x)
    np.add.at(out, 0, g[0])
    return out


def shared(g, y, x):
    a = b = g * 1.0
    a += x
    return b


def several(g, y, x):
    if np.ndim(g) == 7:
        return g
    if isinstance(x, np.ndarray):
        return g * 3
    return g * 2


def sorted_in_place(g, y, x):
    z = -x
    z.sort()
    return g * z


def fill(g, y, x):
    z = np.empty(x.shape)
    z[:] = x * 100.0
    return g * z


class Turned(np.ndarray):
    @property
    def T(self):
        return self * 100.0


TRUE = [
    (filled, "out"),
    (shared, "b"),
    (several, "several(g, y, x)"),
    (sorted_in_place, "g * z"),
    (fill, "g * z"),
    (lambda g, y, x: g * isinstance(x, np.ndarray), "g * isinstance(x, np.ndarray)"),
    (lambda g, y, x: g * special.exp2(x), "g * special.exp2(x)"),  # a ufunc with the name of one of NumPy's
    (lambda g, y, x: np.float64(float(np.sum(g))) * x, "np.float64(float(np.sum(g))) * x"),
    (lambda g, y, x: np.sum(g).item() * x, "np.sum(g).item() * x"),
    (lambda g, y, x: np.multiply(g, x, out=np.zeros(x.shape)), "np.multiply(g, x, out=np.zeros(x.shape))"),
    (lambda g, y, x: np.add(g, x, dtype=np.float64), "add(ḡ, x, dtype=float64)"),
    (lambda g, y, x: g * x[::-1], "ḡ ◦ x[::-1]"),
    (lambda g, y, x: g * x[[1, 0, 2, 3]], "ḡ ◦ x[[1, 0, 2, 3]]"),
    (lambda g, y, x: g * x[:, None][:, 0], "ḡ ◦ x"),
    (lambda g, y, x: g * x[np.argmin(x), 0], "ḡ·x[argmin(x), 0]"),
    (lambda g, y, x: g * np.stack((x, x))[0], "ḡ ◦ stack((x, x))[0]"),
    (lambda g, y, x: g * x.astype(int), "ḡ ◦ astype(x, int)"),
    (lambda g, y, x: g * x.astype(np.float32), "ḡ ◦ x"),
    (lambda g, y, x: g * np.transpose(x, axes=(0, 1)), "ḡ ◦ transpose(x, axes=(0, 1))"),
    (lambda g, y, x: g * x.transpose(1, 0).T, "ḡ ◦ xᵀᵀ"),
    (lambda g, y, x: g * np.reshape(x.reshape(-1), (4, 3), "F"), "ḡ ◦ reshape(reshape(x), (4, 3), 'F')"),
    (lambda g, y, x: g * 0.99999, "0.99999·ḡ"),
    (lambda g, y, x: g * x**2.00001, "ḡ ◦ x^2.00001"),
    (lambda g, y, x: g * np.sqrt(x) ** 2, "ḡ ◦ (√x)²"),
    (lambda g, y, x: g * np.ones_like(g) * x[0], "ḡ ◦ x[0]"),
]


@pytest.mark.parametrize(("vjp", "text"), TRUE, ids=[text for _, text in TRUE])
def test_what_symbols_cannot_follow_is_quoted_and_nothing_is_left_out(vjp, text):
    assert formula_of(vjp) == f"x̄ = {text}"


def test_an_array_with_a_transpose_of_its_own_keeps_it():
    assert Symbol("x", np.ones((2, 2))).T.text == "xᵀ"
    assert Symbol("x", np.ones((2, 2)).view(Turned)).T.text == "T(x)"


def test_an_element_of_several_results_is_written_as_one():
    graph = trace_graph(np.modf(tg.Tensor([1.5], requires_grad=True, name="x"))[0])
    (call,) = [node for node in graph.nodes if node.op == "modf"]
    assert rule_text(graph, call) == "x̄ = ḡ[0]"


def test_importing_the_package_imports_no_pictures():
    code = "import sys, tinygrad_edu; print([m for m in sys.modules if m.startswith('tinygrad_edu.viz')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
