"""How an explanation of a gradient is told: the same facts as text, as Markdown and as LaTeX.

Long products are folded: the first and last factors stay, and in between those that the gradient shrinks or
grows at most. A name in any of them is data, escaped for where it is written.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from .chain import Explanation, Use
from .factors import Factor
from .latex import fraction, latex, prose
from .values import EXPLODING, VANISHING, health, readable
from .words import number, shape_text, visible

TERMS = 10  # factors that a product is written with
ROWS = 14  # factors of one path that are told one by one
DETAILED = 4  # paths whose factors are told one by one
LISTED = 12  # uses and equations that are listed
HEADINGS = ("factor", "local derivative", "gradient after it", "norm", "growth", "", "first numbers", "where")

BAR = "ḡ is the product of the factors before it"
TROUBLES = {
    "NaN": "stops being a number at",
    "dead": "dies (all of it is 0) at",
    "vanishing": f"vanishes (falls below {number(VANISHING)}) at",
    "exploding": f"explodes (rises above {number(EXPLODING)}) at",
}

Item = TypeVar("Item")
Folded = list[Factor | list[Factor]]


def folded(factors: Sequence[Factor], most: int, telling: Sequence[int] = ()) -> Folded:
    """Keep the ends of a long product and the `telling` factors; what lies between becomes a list."""
    n, ends = len(factors), most // 2 - 1
    kept = {*range(n)} if n <= most else {*range(ends), *range(n - ends, n), *telling}
    kept |= {i for i in range(1, n - 1) if i - 1 in kept and i + 1 in kept}  # a gap of one is no gap
    items: Folded = []
    for i, factor in enumerate(factors):
        if i in kept:
            items.append(factor)
        elif items and isinstance(items[-1], list):
            items[-1].append(factor)
        else:
            items.append([factor])
    return items


def rows_of(factors: Sequence[Factor]) -> Folded:
    """Choose the factors that are told one by one: the ends, and where the gradient changes or gets bad."""
    if not factors:
        return []
    words = [factor.word for factor in factors]
    return folded(factors, ROWS, [*least_and_most(factors), *(words.index(word) for word in set(words))])


def least_and_most(factors: Sequence[Factor]) -> tuple[int, int]:
    """Return where the norm of the gradient falls most and where it grows most."""
    growths = [factor.growth for factor in factors]
    falls = [math.inf if math.isnan(growth) else growth for growth in growths]
    rises = [-math.inf if math.isnan(growth) else growth for growth in growths]
    return falls.index(min(falls)), rises.index(max(rises))


def headline(e: Explanation) -> str:
    """Say how many paths there are, and what becomes of their products."""
    derivative = f"∂{e.loss}/∂{e.wrt}"
    if not e.count:
        return f"No gradient of {e.loss} reaches {e.wrt}: the calls that use it pass none on."
    if e.count == 1:
        return f"{derivative}: one path leads from {e.loss} to {e.wrt}, and its factors are multiplied."
    used = f", which is used {len(e.uses)} times" if len(e.uses) > 1 else ""
    shown = "" if e.count == len(e.paths) else f"; {len(e.paths)} of them are walked here"
    return (
        f"{derivative}: {many(e.count)} paths lead from {e.loss} to {e.wrt}{used}. "
        f"Along each the factors are multiplied, and the products are added{shown}."
    )


def many(count: int) -> str:
    """Write a count exactly, or as a power of ten where its digits would fill lines.

    >>> many(1_073_741_824), many(2**1000)
    ('1,073,741,824', 'about 10^301')
    """
    return f"{count:,}" if count < 10**15 else f"about 10^{round(count.bit_length() * math.log10(2))}"


def path_title(e: Explanation, number_of: int) -> str:
    """Say which path this is, how long, and what it contributes."""
    factors, norm = e.paths[number_of], health(e.contributions[number_of])
    times = f"{len(factors)} factor{'s' if len(factors) != 1 else ''}"
    return f"Path {number_of + 1}: {times}, contributes a gradient of norm {number(norm.norm)} ({norm.word})"


def total(e: Explanation) -> str:
    """Say what the contributions add up to."""
    if e.count < 2:
        return ""
    left = e.count - len(e.paths)
    if e.shape == () and not left and len(e.paths) <= 8:
        terms = " + ".join(number(float(part)) for part in e.contributions)
        return f"The sum of the paths: {terms} = {number(float(e.gradient))}."
    norms = [number(health(part).norm) for part in e.contributions]
    shown = ", ".join(norms[:8]) + (", …" if len(norms) > 8 else "")
    text = (
        f"Norms of the contributions: {shown}; of their sum, the gradient: {number(health(e.gradient).norm)}"
    )
    if left and readable(e.gradient):
        with np.errstate(all="ignore"):
            rest = health(e.gradient - sum(e.contributions))
        text += f"; of the {many(left)} other paths together: {number(rest.norm)}"
    if e.meeting:
        name, error, prediction = e.meeting
        text += f". Where the paths meet, ∂{e.loss}/∂{name} = {error} with Ŷ = {prediction}"
    return text + "."


def detailed(e: Explanation) -> list[int]:
    """Choose the paths whose factors are told: all if few, else the one that matters most and the longest."""
    if len(e.paths) <= DETAILED:
        return list(range(len(e.paths)))
    norms = [health(part).norm for part in e.contributions]
    most = max(range(len(norms)), key=lambda i: -1.0 if math.isnan(norms[i]) else norms[i])
    longest = max(range(len(e.paths)), key=lambda i: len(e.paths[i]))
    return sorted({most, longest})


def summary(factors: Sequence[Factor]) -> str:
    """Name the factor at which the gradient breaks, dies, vanishes or explodes, and where it changes most."""
    words = [factor.word for factor in factors]
    if not factors or "not read" in words or words == ["ok"]:
        return ""
    start, end = factors[0], factors[-1]
    sentence = f"The norm of the gradient is {number(start.norm)} after {start.name}"
    sentence += f" and {number(end.norm)} in the end" if len(factors) > 1 else ""
    if end.word != "ok":
        firsts = {word: factors[words.index(word)] for word in words if word != "ok"}
        sentence += "; it " + " and ".join(f"{TROUBLES[word]} {place(at)}" for word, at in firsts.items())
    sentences = [sentence, *changes(factors[1:])]
    if end.word in ("vanishing", "exploding") and len(factors) > 4:
        sentences.append(together(factors[1:], end.word == "vanishing"))
    return " ".join(f"{sentence}." for sentence in sentences)


def changes(factors: Sequence[Factor]) -> list[str]:
    """Say at which factors the gradient shrinks and grows most; the first makes it and is not among them."""
    if not factors or factors[-1].word in ("NaN", "dead"):
        return []
    fall, rise = (factors[i] for i in least_and_most(factors))
    found = [f"shrinks most, {times(1 / fall.growth)}, at {place(fall)}"] if fall.growth < 1 else []
    found += [f"grows most, {times(rise.growth)}, at {place(rise)}"] if rise.growth > 1 else []
    return [f"It {' and '.join(found)}"] if found else []


def together(factors: Sequence[Factor], shrinking: bool) -> str:
    """Say which kind of call changes the gradient most, all of its factors on the path taken together."""
    growths: dict[str, list[float]] = {}
    for factor in factors:
        growths.setdefault(factor.op, []).append(factor.growth)
    products = {op: math.prod(group) for op, group in growths.items()}
    op = min(products, key=products.__getitem__) if shrinking else max(products, key=products.__getitem__)
    change = "shrink" if shrinking else "grow"
    ratio = 1 / products[op] if shrinking else products[op]
    count = len(growths[op])
    return f"All {count} factors of {visible(op)} together {change} it {times(ratio)}"


def times(ratio: float) -> str:
    """Write how many times smaller or larger: ``1,200-fold``.

    >>> times(1234.5), times(3.4567), times(2.5e12)
    ('1,230-fold', '3.46-fold', '2.5e+12-fold')
    """
    return f"{float(f'{ratio:.3g}'):,.0f}-fold" if 1000 <= ratio < 1e9 else f"{ratio:.3g}-fold"


def place(factor: Factor) -> str:
    """Name a factor with its formula and where it is."""
    layer = f" of layer {factor.layer}" if factor.layer else ""
    line = f" ({factor.where})" if factor.where else ""
    return f"{factor.name} = {factor.formula}{layer}{line}"


def remark(factor: Factor) -> tuple[str, str]:
    """Say what else a factor is: a formula, and what the Ŷ in it stands for. Both may be empty."""
    if not factor.also:
        return "", ""
    steps = f"{product_text(factor)} = " if factor.first else ""
    return f"{steps}{factor.also}", f"Ŷ = {factor.prediction}"


def product_text(factor: Factor) -> str:
    """Write a factor as it stands in a product."""
    return " · ".join(f"∂{upper}/∂{lower}" for upper, lower in factor.terms)


def cells(factor: Factor) -> tuple[str, ...]:
    """Write the facts of one factor for a table with `HEADINGS`."""
    where = factor.where + (f" in {factor.layer}" if factor.layer else "")
    growth = "" if math.isnan(factor.growth) else f"×{factor.growth:.3g}"
    facts = (number(factor.norm), growth, factor.word, factor.numbers, where)
    return factor.name, factor.formula, shape_text(factor.shape), *facts


def gap(factors: Sequence[Factor]) -> str:
    """Say what factors that are not told one by one do together."""
    with np.errstate(all="ignore"):
        growth = float(np.prod([factor.growth for factor in factors]))
    s = "s" if len(factors) > 1 else ""
    return f"… {len(factors):,} more factor{s} …" + (
        "" if math.isnan(growth) else f"  together ×{growth:.3g}"
    )


def text(e: Explanation) -> str:
    """Tell an explanation as text, for terminals."""
    blocks = [headline(e)]
    tell = detailed(e)
    for i, factors in enumerate(e.paths):
        lines = [path_title(e, i)] if e.count > 1 else []
        lines += _equation(e, i, factors)
        if i in tell and factors:
            lines += ["", *_table(factors), "", summary(factors)]
        blocks.append("\n".join(lines).rstrip())
    blocks += [total(e), "\n  ".join(_uses(e)), "\n".join(_where_text(e))]
    return "\n\n".join(block for block in blocks if block)


def _equation(e: Explanation, i: int, factors: Sequence[Factor]) -> list[str]:
    terms = [
        f"… ({len(item)} more) …" if isinstance(item, list) else product_text(item)
        for item in folded(factors, TERMS)
    ]
    left = f"∂{e.loss}/∂{e.wrt}" if e.count == 1 else "product"
    product = e.products[i]
    lines = [f"{left} = {' · '.join(terms) or '1'}"]
    return lines + ([" " * _width(left) + f" = {product}"] if product and i in detailed(e) else [])


def _table(factors: Sequence[Factor]) -> list[str]:
    rows: list[tuple[str, ...] | str] = [HEADINGS]
    for item in rows_of(factors):
        if isinstance(item, list):
            rows.append(gap(item))
            continue
        rows.append(cells(item))
        also, prediction = remark(item)
        so_far = "" if item.first else "the product so far "
        rows += [f"    {so_far}= {also} with {prediction}"] if also else []
        rows += [f"    {item.note}"] if item.note else []
    full = [row for row in rows if isinstance(row, tuple)]
    widths = [max(_width(row[i]) for row in full) for i in range(len(HEADINGS))]
    return [
        row
        if isinstance(row, str)
        else "  ".join(cell + " " * (w - _width(cell)) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _width(text: str) -> int:
    """Count the columns of a terminal that text takes."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


def ends(items: Sequence[Item]) -> tuple[list[Item], list[Item], int]:
    """Split a list into a beginning and an end that are told, and the number of items between."""
    if len(items) <= LISTED:
        return list(items), [], 0
    return list(items[: LISTED // 2]), list(items[-LISTED // 2 :]), len(items) - LISTED


def use_line(use: Use) -> str:
    """Write a use as what it is and what comes through it."""
    where = f" ({use.where})" if use.where else ""
    if use.contribution is None:
        return f"{use.call}{where}: no gradient comes through it"
    found = health(use.contribution)
    paths = f"{many(use.paths)} path{'s' if use.paths > 1 else ''}"
    return f"{use.call}{where}: {paths}, norm {number(found.norm)} {found.word}"


def _uses(e: Explanation) -> list[str]:
    """Say for each use of the parameter what comes through it, under a heading."""
    if len(e.uses) < 2 and e.count:
        return []
    first, last, between = ends(e.uses)
    gap = [f"… {between:,} more …"] if between else []
    return [f"{e.wrt} is used in", *map(use_line, first), *gap, *map(use_line, last)]


def _where(e: Explanation) -> list[tuple[str, str]]:
    """Return pairs of a symbol and what it is computed as; a remark has no symbol."""
    first, last, between = ends(e.computed)
    gap = [("", f"… {between:,} more in the same way …")] if between else []
    return [*e.equations(first), *gap, *e.equations(last)]


def _where_text(e: Explanation) -> list[str]:
    lines = [f"{name} = {what}" if name else what for name, what in _where(e)]
    lines += [f"{symbol} is called {name}" for symbol, name in e.legend[:LISTED]]
    lines += [BAR] if _speaks_of_gradient(e) else []
    return ["where", *(f"  {line}" for line in lines)] if lines else []


def _speaks_of_gradient(e: Explanation) -> bool:
    shown = [item for i in detailed(e) for item in rows_of(e.paths[i]) if isinstance(item, Factor)]
    return any("ḡ" in factor.formula for factor in shown)


def escaped(words: str) -> str:
    r"""Escape words for Markdown, so that none of them is markup, HTML, a formula or a link.

    >>> escaped("<b>|$x$")
    '&#60;b&#62;&#124;&#36;x&#36;'
    """
    words = re.sub(r"[\\`*_\[\]<>|~$&#{}@!\"]", lambda found: f"&#{ord(found.group())};", words)
    return words.replace("://", "&#58;//").replace("www.", "www&#46;")


def markdown(e: Explanation) -> str:
    """Tell an explanation as Markdown."""
    blocks = [escaped(headline(e))]
    if e.paths:
        blocks.append(f"$$\n{_aligned(e)}\n$$")
    for i in detailed(e):
        if e.paths[i]:
            title = [f"**{escaped(path_title(e, i))}**"] if e.count > 1 else []
            blocks += [*title, "\n".join(_markdown_table(e.paths[i])), escaped(summary(e.paths[i]))]
    blocks.append(escaped(total(e)))
    if uses := _uses(e):
        blocks.append("\n".join([escaped(uses[0]) + ":", "", *(f"- {escaped(line)}" for line in uses[1:])]))
    lines = [
        f"- ${latex(name)} = {latex(what)}$" if name else f"- {escaped(what)}" for name, what in _where(e)
    ]
    lines += [f"- ${latex(symbol)}$ is called {escaped(name)}" for symbol, name in e.legend[:LISTED]]
    lines += [f"- {escaped(BAR)}"] if _speaks_of_gradient(e) else []
    blocks.append("\n".join(["where", "", *lines]) if lines else "")
    return "\n\n".join(block for block in blocks if block) + "\n"


def _markdown_table(factors: Sequence[Factor]) -> list[str]:
    rows = [HEADINGS, ("---",) * len(HEADINGS)]
    for item in rows_of(factors):
        if isinstance(item, list):
            rows.append((escaped(gap(item)), *[""] * (len(HEADINGS) - 1)))
            continue
        plain = [escaped(cell) for cell in cells(item)]
        plain[0] = f"${fraction(item.upper, item.lower)}$"
        also, prediction = remark(item)
        more = [f"${'' if item.first else prose('the product so far ')}= {latex(also)}$"] if also else []
        more += [f"${latex(prediction)}$"] if also else []
        plain[1] = "; ".join(
            [f"${latex(item.formula)}$", *more, *([escaped(item.note)] if item.note else [])]
        )
        rows.append(tuple(plain))
    return [f"| {' | '.join(row)} |" for row in rows]


def latex_page(e: Explanation) -> str:
    """Tell the products and the factors of an explanation as LaTeX."""
    if not e.paths:
        return prose(headline(e))
    tables = [_array(e.paths[i]) for i in detailed(e) if e.paths[i]]
    return "\\begin{gathered}\n" + "\n\\\\[2ex]\n".join([_aligned(e), *tables]) + "\n\\end{gathered}"


def equations(e: Explanation) -> list[str]:
    """Return the right-hand sides of the gradient in LaTeX: for each path its factors, then its product."""
    lines = []
    for factors, product in zip(e.paths, e.products, strict=True):
        terms = [
            rf"\ldots \text{{ {len(item)} more }} \ldots "
            if isinstance(item, list)
            else r"\cdot ".join(fraction(upper, lower) for upper, lower in item.terms)
            for item in folded(factors, TERMS)
        ]
        lines.append(r"\cdot ".join(terms) or "1")
        lines += [latex(product)] if product and e.count == 1 else []
    return lines


def _aligned(e: Explanation) -> str:
    sign = "=" if e.count == 1 else "+"
    lines = equations(e)
    if e.count > len(e.paths):
        lines.append(prose(f"{many(e.count - len(e.paths))} more paths"))
    lines = [f"& {'=' if i == 0 else sign} {line}" for i, line in enumerate(lines)]
    lines[0] = f"{fraction(e.loss, e.wrt)} {lines[0]}"
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _array(factors: Sequence[Factor]) -> str:
    heading = [prose(HEADINGS[i]) if HEADINGS[i] else "" for i in (0, 1, 3, 4, 5, 7)]
    rows = [" & ".join(heading) + r" \\ \hline"]
    for item in rows_of(factors):
        if isinstance(item, list):
            rows.append(prose(gap(item)) + r" \\")
            continue
        _, formula, _, norm, growth, word, _, where = cells(item)
        also, prediction = remark(item)
        so_far = "" if item.first else prose("; the product so far ")
        more = rf"{so_far} = {latex(also)},\; {latex(prediction)}" if also else ""
        row = [fraction(item.upper, item.lower), latex(formula) + more, latex(norm), latex(growth)]
        rows.append(" & ".join([*row, prose(word), prose(where)]) + r" \\[1ex]")
    return "\\begin{array}{llrrll}\n" + "\n".join(rows) + "\n\\end{array}"
