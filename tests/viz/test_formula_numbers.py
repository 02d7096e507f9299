"""What a formula says is what its rule computes: the text is read back as mathematics and evaluated."""

import ast
import contextlib
import importlib
import inspect
import re
from typing import Any

import numpy as np
import pytest
import scipy.special
from cases import strategy_for
from conftest import PACKAGE_RULES
from hypothesis import given

from tinygrad_edu.rules import function_name, reductions, shapes, unbroadcast
from tinygrad_edu.rules.indexing import put
from tinygrad_edu.rules.printed import THEMES
from tinygrad_edu.viz import symbols
from tinygrad_edu.viz.running import run_on_symbols
from tinygrad_edu.viz.symbols import Symbol, arrays_of, as_symbol

WITH_VJP = [fn for fn, rule in PACKAGE_RULES.items() if rule.vjps or rule.each]
OPERATIONS: dict[type, Any] = {
    **{ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide, ast.Pow: np.power},
    **{ast.USub: np.negative, ast.Eq: np.equal, ast.NotEq: np.not_equal, ast.Lt: np.less},
    **{ast.LtE: np.less_equal, ast.Gt: np.greater, ast.GtE: np.greater_equal},
    ast.MatMult: lambda a, b: np.matmul(a, b) if np.ndim(a) and np.ndim(b) else np.multiply(a, b),
}
SIGNS = str.maketrans({"◦": "*", "·": "@", "−": "-", "≠": "!", "≤": "{", "≥": "}", "^": "¤", "ḡ": "g"})
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


class Unreadable(Exception):
    """A text that leaves out what it would take to compute it, such as an array without a name."""


def parsed(text: str) -> ast.expr:
    """Read a formula as an expression of Python."""
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda power: f"**({power[0].translate(RAISED)})", text).translate(SIGNS)
    text = text.replace("ᵀ", ".T").replace(" at [", ", PLACE[").replace("¤", "**")
    text = re.sub(r"\|([^|]+)\|", r"absolute(\1)", text)
    # what stands in brackets of its own and compares is 1 where that is true
    comparison = r"(?<![\w)\]])\[((?:[^\[\]]|\w\[[^\[\]]*\])+? [=!<>{}] (?:[^\[\]]|\w\[[^\[\]]*\])+)\]"
    while (again := re.sub(comparison, lambda found: f"({_python(found[1])})", text)) != text:
        text = again
    text = re.sub(r"√(\w+(?=[^\w(])|\w+$)", r"sqrt(\1)", text).replace("√", "sqrt")
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        raise Unreadable(text) from None


def _python(comparison: str) -> str:
    for sign, operator in {" = ": " == ", " ! ": " != ", " { ": " <= ", " } ": " >= "}.items():
        comparison = comparison.replace(sign, operator)
    return comparison


def evaluate(node: Any, names: dict[str, Any], keep: bool) -> Any:
    """Compute an expression; `keep` tells whether sums keep their axis, which formulas do not say."""

    def of(part: Any) -> Any:
        return None if part is None else evaluate(part, names, keep)

    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            if node.id not in names:
                raise Unreadable(node.id)
            return names[node.id]
        case ast.BinOp():
            return OPERATIONS[type(node.op)](np.asarray(of(node.left)) * 1.0, of(node.right))
        case ast.UnaryOp():
            return OPERATIONS[type(node.op)](of(node.operand))
        case ast.Compare():
            return OPERATIONS[type(node.ops[0])](of(node.left), of(node.comparators[0]))
        case ast.Attribute():
            value = of(node.value)
            return np.swapaxes(value, -1, -2) if np.ndim(value) > 1 else value
        case ast.Subscript():
            return of(node.slice) if ast.unparse(node.value) == "PLACE" else of(node.value)[of(node.slice)]
        case ast.Slice():
            return slice(of(node.lower), of(node.upper), of(node.step))
        case ast.List():
            return [of(item) for item in node.elts]
        case ast.Tuple():
            return tuple(of(item) for item in node.elts)
        case ast.Call():
            name, options = ast.unparse(node.func), {option.arg: of(option.value) for option in node.keywords}
            if name in ("sum", "mean") and keep:
                options["keepdims"] = True
            return of(node.func)(*map(of, node.args), **options)
    raise Unreadable(ast.unparse(node))


def vocabulary() -> dict[str, Any]:
    """The functions that a formula may name: NumPy's, those of scipy.special, and helpers of the rules."""
    words: dict[str, Any] = {name: getattr(scipy.special, name) for name in scipy.special.__all__}
    modules = [f"tinygrad_edu.rules.{theme}" for theme in THEMES]
    for module in (*modules, "tinygrad_edu.nn.activations", "tinygrad_edu.nn.losses"):
        words |= vars(importlib.import_module(module))
    words |= vars(np.fft) | vars(np.linalg)
    words |= {name: getattr(np, name) for name in np.__all__ if name not in ("array", "put")}
    return {name: word for name, word in words.items() if callable(word)} | {"inf": np.inf}


WORDS = vocabulary()


def in_this_call(given: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """The helpers of which a formula leaves arguments out, with those of this call."""
    a, axis = given.get("a"), given.get("axis")
    where = given.get("how", {}).get("where", given.get("where", True))
    whole = shape if axis is not None or "axis" not in given else (np.size(a),)  # of the array that put makes
    return {
        "spread": lambda g: reductions.spread(np.asarray(g), a, axis, where),
        "others": lambda a: reductions.others(a, axis),
        "split": lambda g: shapes.split_like(g, given["arrays"], axis),
        "unpad": lambda g: shapes.unpad(*(g if key == "g" else given[key] for key in UNPAD)),
        "unbroadcast": lambda g: unbroadcast(g, shape),
        "reshape": lambda g: np.reshape(g, shape),
        "put": lambda g, place: put(g, place, whole),
    }


UNPAD = ("g", "array", "pad_width", "mode", "how")


def arguments_of(case: Any) -> tuple[list[Any], dict[str, Any]]:
    """Make Symbols of the arrays among the arguments, and return them and their names."""
    names: dict[str, Any] = {}

    def named(arg: Any, name: str) -> Any:
        if isinstance(arg, (list, tuple)) and any(isinstance(item, np.ndarray) for item in arg):
            return type(arg)(named(item, f"{name}_{i}") for i, item in enumerate(arg))
        if not isinstance(arg, np.ndarray):
            return arg
        names[name] = arg
        return Symbol(name, arg)

    return [named(arg, f"x{i}") for i, arg in enumerate(case.args)], names


def disagreements(fn: Any, case: Any) -> list[str]:
    """Return, for each formula that can be computed, "" where it agrees with the rule, or how it does not."""
    rule = PACKAGE_RULES[fn]
    args, names = arguments_of(case)
    try:
        y = fn(*arrays_of(args), **case.kwargs)
    except TypeError:  # the arguments are for a function around it
        return []
    y = y[0] if rule.saves else y
    shift = np.random.default_rng(7)
    g = [shift.normal(size=np.shape(part)) for part in (y if isinstance(y, (list, tuple)) else [y])]
    g = type(y)(*g) if hasattr(y, "_fields") else type(y)(g) if isinstance(y, (list, tuple)) else g[0]
    found = []
    for place, vjp in enumerate(rule.vjps or rule.vjps_of(case.args)):
        if vjp is None or place >= len(args) or not isinstance(args[place], (Symbol, list)):
            continue
        try:
            plain = vjp(g, y, *arrays_of(args), **case.kwargs)
            part = run_on_symbols(vjp, Symbol("g", g), Symbol("y", y), *args, **case.kwargs)
        except Exception:  # quoted from its source
            continue
        given = inspect.signature(vjp).bind(g, y, *arrays_of(args), **case.kwargs)
        given.apply_defaults()
        parts = [(part, plain, args[place])]
        if isinstance(plain, list):
            parts = [(part[i], piece, args[place][i]) for i, piece in enumerate(plain)]
        for written, value, arg in parts:
            words = WORDS | in_this_call(given.arguments, np.shape(arrays_of(arg))) | names | {"g": g, "y": y}
            with contextlib.suppress(Unreadable):
                found.append(difference(as_symbol(written).text, value, words))
    return found


def difference(text: str, value: Any, names: dict[str, Any]) -> str:
    """Tell how a formula differs from what its rule gives; empty where it does not."""
    expression = parsed(text)
    for keep in (True, False):
        try:
            with np.errstate(all="ignore"):
                read = evaluate(expression, names, keep)
                read = np.broadcast_to(read, np.shape(value)) if np.ndim(read) == 0 else read
        except (ValueError, TypeError, IndexError):  # an axis that the formula does not show
            continue
        if np.shape(read) == np.shape(value):
            same = np.allclose(read, value, 1e-6, 1e-9, equal_nan=True)
            return "" if same else f"{text} is {read}, and the rule gives {value}"
    raise Unreadable(text)


# written with arrays that have no name, with axes that are not shown, or quoted from the source
NOT_COMPUTED = {
    *("pick", "np.i0", "cofactors", "np.linalg.pinv", "np.linalg.cholesky"),
    *(
        "np.tile",
        "np.repeat",
        "np.rot90",
        "np.vstack",
        "np.hstack",
        "np.dstack",
        "np.column_stack",
        "np.block",
    ),
    *("np.diag", "np.diagonal", "np.tril", "np.triu", "np.diagflat", "np.resize", "np.delete", "np.insert"),
    *("along", "at_rank", "safe_length"),
    *("np.linalg.diagonal", "np.lib.stride_tricks.sliding_window_view"),
}


def exactly(value: Any) -> str:
    """Write a number with all its digits, where a formula shows four."""
    return str(value) if isinstance(value, (bool, np.bool_, int, np.integer)) else repr(float(value))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of np.fix
@pytest.mark.parametrize("fn", WITH_VJP, ids=function_name)
def test_a_formula_says_what_its_rule_computes(fn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbols, "number", exactly)
    computed = []

    @given(case=strategy_for(fn))
    def check(case: Any) -> None:
        if fn is np.matmul and 1 in map(np.ndim, case.args):
            return  # the rule puts an axis in, and the formula does not show it
        if fn in (np.std, np.var) and not (case.kwargs.get("keepdims") or case.kwargs.get("axis") is None):
            return  # likewise
        if fn is np.vecdot and max(map(np.ndim, case.args)) > 1:
            return
        found = disagreements(fn, case)
        assert not any(found), found
        computed.extend(found)

    check()
    assert bool(computed) == (function_name(fn) not in NOT_COMPUTED)


@pytest.mark.parametrize(
    "text",
    [
        "2·g ◦ x",
        "g ◦ x + 1",
        "−g ◦ x",
        "g ◦ x²",
        "g ◦ √x",
        "g/x",
        "g ◦ x ◦ [g > 0]",
        "x ◦ |g|",
        "gᵀ ◦ x",
        "x",
    ],
)
def test_a_wrong_formula_is_noticed(text: str) -> None:
    g, x = np.array([[1.0, -2.0], [3.0, 4.0]]), np.array([[0.5, 2.0], [3.0, 0.1]])
    assert difference("g ◦ x", g * x, WORDS | {"g": g, "x": x}) == ""
    assert text in difference(text, g * x, WORDS | {"g": g, "x": x})
