r"""Formulas as LaTeX: what is written in Unicode, character by character, in LaTeX's own words.

LaTeX is a programming language, and a name is data: `prose` and `latex` let no character of what they are
given act as a command. What comes out is understood by LaTeX, MathJax, KaTeX and matplotlib.
"""

import re
import unicodedata

RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁽⁾", "0123456789-()", strict=True)) | {"ᵀ": r"\top", "′": r"\prime"}
LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
SCRIPTS = "".join([*RAISED, *LOWERED])
GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi "
    "chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
)
GREEK = {
    letter: "\\" + name
    for letter, name in zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ", GREEK_NAMES.split(), strict=True)
}
ACCENTS = {"\u0302": r"\hat", "\u0304": r"\bar", "\u0303": r"\tilde", "\u0307": r"\dot"}
SIGNS = {
    **{"·": r"\cdot ", "◦": r"\circ ", "−": "-", "∂": r"\partial ", "×": r"\times ", "…": r"\ldots "},
    **{"≥": r"\geq ", "≤": r"\leq ", "≠": r"\neq ", "<": "< ", ">": "> ", "∞": r"\infty "},
    **{"|": r"\vert ", "‖": r"\Vert ", "→": r"\to ", " ": " "},
}
# In math mode these stand for themselves, or for something that looks the same.
SPECIAL = {
    **{"{": r"\{", "}": r"\}", "$": r"\$", "%": r"\%", "#": r"\#", "&": r"\&", "_": r"\_"},
    **{"\\": r"\backslash ", "^": r"\wedge ", "~": r"\sim ", "<": "< ", ">": "> ", "|": r"\vert "},
    **{"`": r"\text{‘}"},  # which Markdown would take for code
}
PLAIN = re.compile(r"""[A-Za-z0-9 .,:;()\[\]=+*/'"!?@>-]+""")
TOKEN = re.compile(
    rf"(?P<quoted>'[^']*')|(?P<number>\d+(?:\.\d+)?(?:e[-+]?\d+)?)"
    rf"|(?P<word>[^\W\d{SCRIPTS}][\u0300-\u036f]*[^\W{SCRIPTS}]*(?:\.[^\W\d{SCRIPTS}][^\W{SCRIPTS}]*)*)"
    rf"|(?P<scripts>[{SCRIPTS}]+)|(?P<sign>.)",
    re.DOTALL,
)


def prose(text: str) -> str:
    r"""Return words as LaTeX text, in which no character is a command.

    >>> print(prose(r"50% of \input{x}"))
    \text{50}\%\text{ of }\backslash \text{input}\{\text{x}\}
    """
    parts = []
    for run in re.findall(rf"{PLAIN.pattern}|.", text, re.DOTALL):
        if PLAIN.fullmatch(run):
            parts.append(rf"\text{{{run}}}")
        elif run in SPECIAL:
            parts.append(SPECIAL[run])
        else:
            parts.append(
                _word(run) if run in GREEK or run in "ḡŶŷ" else latex(run) if _known(run) else _other(run)
            )
    return "".join(parts)


def _known(character: str) -> bool:
    return character in SIGNS or character in SCRIPTS


def _other(character: str) -> str:
    if unicodedata.category(character).startswith("M"):
        return ""  # an accent that LaTeX has no command for
    return rf"\text{{{character}}}" if character.isprintable() else r"\text{?}"


def latex(text: str) -> str:
    r"""Return a formula as LaTeX.

    >>> print(latex("X₁ᵀ·((softmax(z⁽³⁾) − Y)/4 ◦ [z⁽²⁾ > 0])"))
    X_{1}^{\top}\cdot ((\mathrm{softmax}(z^{(3)}) - Y)/4 \circ  [z^{(2)} >  0])
    """
    if found := re.search("[√^]", text):
        before, after = text[: found.start()], text[found.end() :]
        operand = _operand(after)
        rest = after[len(operand) :]
        inner = latex(operand[1:-1] if operand.startswith("(") else operand)
        if not operand:
            return latex(before) + prose(found.group()) + latex(rest)
        return (
            latex(before)
            + (rf"\sqrt{{{inner}}}" if found.group() == "√" else f"{{}}^{{{inner}}}")
            + latex(rest)
        )
    parts: list[str] = []
    carries = False  # whether what was written last can carry an index
    for token in TOKEN.finditer(text):
        part = _token(token.lastgroup or "", token.group())
        parts.append(part if carries or token.lastgroup != "scripts" else "{}" + part)
        carries = (token.lastgroup in ("word", "number") and bool(part)) or token.group() in ")]"
    return "".join(parts)


def _token(kind: str, token: str) -> str:
    if kind == "word":
        return _word(token)
    if kind == "scripts":
        return _scripts(token)
    if kind == "number":
        return _number(token)
    if kind == "quoted":
        return prose(token)
    return SIGNS.get(token) or (token if token in "()[]+-=,/:;*.!" else prose(token))


def _operand(text: str) -> str:
    """Return what a root sign stands in front of: a symbol with its indices, or what is in parentheses."""
    depth = 0
    for i, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        ended = depth == 0 and (character == ")" or not (character.isalnum() or character in SCRIPTS + "._"))
        if ended:
            return text[: i + 1] if character == ")" and text.startswith("(") else text[:i]
    return text


def _word(word: str) -> str:
    whole = unicodedata.normalize("NFD", word)
    if len(whole) == 2 and whole[1] in ACCENTS:
        return f"{ACCENTS[whole[1]]}{{{GREEK.get(whole[0], whole[0])}}}"
    if word == "Σ":  # a sum, as formulas use it
        return r"\sum "
    if word in GREEK:
        return GREEK[word] + " "
    if len(word) == 1 and word.isascii() and word != "_":
        return word
    if not word.replace("_", "").replace(".", "").isascii():
        return prose(word)
    return rf"\mathrm{{{word.replace('_', chr(92) + '_')}}}"


def _scripts(run: str) -> str:
    low = "".join(LOWERED[c] for c in run if c in LOWERED)
    high = "".join(RAISED[c] for c in run if c in RAISED)
    return (f"_{{{low}}}" if low else "") + (f"^{{{high}}}" if high else "")


def _number(text: str) -> str:
    digits, exponent, power = text.partition("e")
    return rf"{digits}\times 10^{{{int(power)}}}" if exponent else digits


def fraction(upper: str, lower: str) -> str:
    r"""Write a derivative as LaTeX.

    >>> print(fraction("J", "W⁽¹⁾"))
    \frac{\partial J}{\partial W^{(1)}}
    """
    return rf"\frac{{\partial {latex(upper)}}}{{\partial {latex(lower)}}}"
