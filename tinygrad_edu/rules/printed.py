"""The rule table on paper: each function with its rule, read from the source code that runs.

python -m tinygrad_edu.rules.printed > docs/rules.md
"""

import ast
import functools
import importlib
import inspect
import linecache
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import CONSTANT, RULES, Function, Rule, function_name
from .shapes import _rearranged

THEMES = (
    *("elementwise", "reductions", "statistics", "shapes", "indexing"),
    *("products", "linalg", "polynomials", "special"),
)
REARRANGED = _rearranged(np.tile).__code__  # the one rule of all functions that move elements


def source_of(fn: Any) -> str:
    """Return the expression that a rule returns, from its source; empty where that cannot be found.

    A rule that returns in several places is named, as in ``slope(g, y, x)``.

    >>> import numpy as np
    >>> source_of(RULES[np.tan].vjps[0])
    'g * (1 + y * y)'
    """
    code = getattr(fn, "__code__", None)
    if code is None:
        return ""
    if code is REARRANGED:
        return "g, each element back in its place"
    found = [part for part in _functions(code.co_filename) if _is_code_of(part, code)]
    if len(found) != 1:
        return ""
    if isinstance(found[0], ast.Lambda):
        return ast.unparse(found[0].body)
    returns = [part for statement in found[0].body for part in _returns(statement)]
    if len(returns) > 1:
        return f"{found[0].name}({', '.join(code.co_varnames[: code.co_argcount])})"
    return ast.unparse(returns[0].value) if returns and returns[0].value else ""


def _returns(statement: ast.AST) -> Iterator[ast.Return]:
    """Yield where a function returns, and not where a function inside it does."""
    if isinstance(statement, ast.Return):
        yield statement
    elif not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        for part in ast.iter_child_nodes(statement):
            yield from _returns(part)


@functools.cache
def _functions(filename: str) -> list[ast.Lambda | ast.FunctionDef]:
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except SyntaxError:
        return []
    return [part for part in ast.walk(tree) if isinstance(part, (ast.Lambda, ast.FunctionDef))]


def _is_code_of(part: ast.Lambda | ast.FunctionDef, code: types.CodeType) -> bool:
    """Tell whether a piece of syntax was compiled to this code: the same line, arguments and place."""
    if isinstance(part, ast.FunctionDef):
        first = part.decorator_list[0].lineno if part.decorator_list else part.lineno
        return part.name == code.co_name and first == code.co_firstlineno
    places = [(line, column) for line, _, column, _ in code.co_positions() if line and column]
    begin = (part.body.lineno, part.body.col_offset)
    end = (part.body.end_lineno or 0, part.body.end_col_offset or 0)
    return part.lineno == code.co_firstlineno and bool(places) and all(begin <= p < end for p in places)


def page() -> str:
    """Write the whole table, with the functions of scipy.special, as a Markdown page."""
    modules = {theme: importlib.import_module(f"{__package__}.{theme}") for theme in THEMES}
    differentiable = [fn for fn in RULES if RULES[fn] is not CONSTANT and _theme(fn) is not None]
    lines = [
        "# The gradient rules",
        "",
        f"{len(differentiable)} functions, printed from the code by `python -m tinygrad_edu.rules.printed`.",
        "In a rule, `g` is the gradient of the output `y`; the other names are the function's arguments.",
        "Broadcasting is undone by the engine. After a = the function is defined by others.",
    ]
    for theme, module in modules.items():
        lines += [
            "",
            f"## {(module.__doc__ or '').splitlines()[0]}",
            "",
            "| function | gradient, argument by argument |",
        ]
        lines += ["|---|---|"]
        ours = [fn for fn in differentiable if _theme(fn) == theme]
        lines += [f"| `{function_name(fn)}` | {_cell(RULES[fn])} |" for fn in sorted(ours, key=function_name)]
    constants = sorted(f"`{function_name(fn)}`" for fn in RULES if RULES[fn] is CONSTANT)
    lines += ["", "## Declared to have no gradient", "", ", ".join(constants), ""]
    return "\n".join(lines)


def _parts(rule: Rule) -> Iterator[Function | None]:
    """Yield what a rule is made of: its definition, or its VJPs."""
    if rule.definition is not None:
        yield rule.definition
    elif rule.each is not None:
        yield rule.each
    else:
        yield from rule.vjps


def _theme(fn: Function) -> str | None:
    """Return the module beside this one in which the function got its rule."""
    for part in _parts(RULES[fn]):
        inner = part.func if isinstance(part, functools.partial) else part
        module = getattr(inner, "__module__", "") or ""
        if module.startswith(f"{__package__}."):
            return module.rpartition(".")[2]
    return None


def _cell(rule: Rule) -> str:
    parts = []
    for part in _parts(rule):
        inner = part.func if isinstance(part, functools.partial) else part
        if rule.definition is not None and getattr(inner, "__name__", "") != "<lambda>":
            sentence = (inspect.getdoc(inner) or "").splitlines()[0]
            parts.append(sentence.partition(" as ")[2].rstrip(".") or sentence)
            continue
        text = "none" if inner is None else source_of(inner)
        parts.append(text if text in ("none", "") else "`" + text.replace("|", "\\|") + "`")
    return ("= " if rule.definition is not None else "") + "<br>".join(parts)


if __name__ == "__main__":
    print(page(), end="")
