"""What the user's own line calls things: in ``h = relu(z1)`` the argument is z1 and the result h.

A recorded call knows where in the user's code it was made, down to the expression. If that expression is the
call itself (and not, say, a layer that made the call further inside), its variables name what has no name.
"""

import ast
import linecache
from collections.abc import Sequence
from typing import Any, NamedTuple

from .recording import Recorded

OPERATORS: dict[type[ast.AST], tuple[str, ...]] = {
    ast.Add: ("add",),
    ast.Sub: ("subtract",),
    ast.Mult: ("multiply",),
    ast.Div: ("divide",),
    ast.MatMult: ("matmul",),
    ast.Pow: ("power", "square", "sqrt", "reciprocal"),
    ast.USub: ("negative",),
}

Span = tuple[int | None, int | None, int | None, int | None]


class Expressions(NamedTuple):
    """The expressions of a source file by their place in it, and the variables they were assigned to."""

    at: dict[Span, ast.expr]
    assigned: dict[Span, str]


class Sources:
    """Reads source files, each once, and looks up what recorded calls look like in them."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[list[str], Expressions]] = {}

    def names(self, node: Any) -> tuple[str | None, dict[int, str]]:
        """Return the variable a call's result was assigned to, and its arguments' variables by position.

        `node` is a recorded call, or anything else that knows its `place`, `name` and `args`.
        """
        code, instruction = node.place
        span = _span(code, instruction)
        found = self._file(code.co_filename)
        expression = found.at.get(span)
        operands = [] if expression is None else _operands(expression, node)
        if not operands:
            return None, {}
        names = {i: name for i, part in enumerate(operands) if (name := _variable(part))}
        return found.assigned.get(span), names

    def assigned(self, place: tuple[Any, int]) -> str | None:
        """Return the variable that a whole expression was assigned to, whatever calls it takes."""
        code, instruction = place
        return self._file(code.co_filename).assigned.get(_span(code, instruction))

    def _file(self, filename: str) -> Expressions:
        lines = linecache.getlines(filename)
        if filename not in self.files or self.files[filename][0] is not lines:
            self.files[filename] = lines, _expressions("".join(lines))
        return self.files[filename][1]


def _span(code: Any, instruction: int) -> Span:
    """Return where in its file the expression stands that an instruction was compiled from."""
    places = list(code.co_positions())
    index = instruction // 2
    return places[index] if 0 <= index < len(places) else (None, None, None, None)


def _expressions(text: str) -> Expressions:
    found = Expressions({}, {})
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return found
    for part in ast.walk(tree):
        if isinstance(part, (ast.BinOp, ast.UnaryOp, ast.Call, ast.Subscript)):
            found.at[_place(part)] = part
        if isinstance(part, ast.Assign) and len(part.targets) == 1:
            target, value = part.targets[0], part.value
            if isinstance(target, ast.Name):
                found.assigned[_place(value)] = target.id
    return found


def _place(part: ast.expr) -> Span:
    return part.lineno, part.end_lineno, part.col_offset, part.end_col_offset


def _operands(expression: ast.expr, node: Any) -> Sequence[ast.expr]:
    """Return the parts of an expression that are the call's arguments; none if it is not that call."""
    if isinstance(expression, ast.BinOp):
        same = node.name in OPERATORS.get(type(expression.op), ())
        return [expression.left, expression.right][: len(node.args)] if same else []
    if isinstance(expression, ast.UnaryOp):
        return [expression.operand] if node.name in OPERATORS.get(type(expression.op), ()) else []
    if isinstance(expression, ast.Subscript):
        return [expression.value] if node.name == "getitem" else []
    assert isinstance(expression, ast.Call)
    function, args = expression.func, expression.args
    name = getattr(function, "attr", None) or getattr(function, "id", None)
    if name != node.name.lstrip("_") or any(isinstance(arg, ast.Starred) for arg in args):
        return []
    if isinstance(function, ast.Attribute) and len(args) < _given(node):
        return [function.value, *args]  # a method, as in x.sum()
    return args


def _given(node: Any) -> int:
    """Count the arguments that a call was really given."""
    return len([arg for arg in node.args if isinstance(arg, Recorded) or arg is not None])


def _variable(part: ast.expr) -> str | None:
    """Return a plain variable's name, or an attribute's with what it belongs to, as in ``model.W``."""
    if isinstance(part, ast.Name):
        return part.id
    if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
        return f"{part.value.id}.{part.attr}".removeprefix("self.")
    return None
