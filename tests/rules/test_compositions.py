"""Random programs of a few calls each, from the whole table: all ways to differentiate agree, and are right.

What is measured is right by itself; where slopes do not exist, or numbers are infinite, the ways still agree.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from cases import strategy_for
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from test_rules import WITH_RULE, callable_on_tensors

import tinygrad_edu as tg
from tinygrad_edu import CaptureError, NoGradientRule, Tensor
from tinygrad_edu.containers import leaves, tree_map
from tinygrad_edu.rules import function_name

SIZE = 5
REACH = 0.02  # how far arguments move from what their recipe drew, which keeps this far from kinks
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 5e-324, 1e-200, 1e200, np.pi]
MANY = settings(max_examples=5 * settings.default.max_examples)


def is_floats(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and leaf.dtype == float and leaf.size > 0


class Program:
    """Calls, each with arguments of its own, into which goes what the calls before it made."""

    def __init__(self, calls: list[tuple[Any, Any]]):
        self.calls = [(case.function or callable_on_tensors(fn), fn, case) for fn, case in calls]

    def __repr__(self) -> str:
        return "; ".join(f"{function_name(fn)}{case.args} {case.kwargs or ''}" for _, fn, case in self.calls)

    def __call__(self, x: Any) -> Any:
        state = np.tanh(x)
        for call, fn, case in self.calls:
            mix = functools.partial(self.mixed, state)
            moved = [
                tree_map(mix, arg) if self.moves(fn, case, i) else arg for i, arg in enumerate(case.args)
            ]
            for y in leaves(call(*moved, **case.kwargs)):
                if getattr(y, "dtype", None) == np.float64 and np.size(y):
                    state = self.folded(state, y)
        return np.sum(state * np.cos(np.arange(SIZE)))

    @staticmethod
    def moves(fn: Any, case: Any, position: int) -> bool:
        """Tell whether a gradient may be asked for an argument."""
        rule, wanted = tg.RULES[fn], case.options.get("argnums")
        if wanted is not None:
            return position in np.atleast_1d(wanted)
        named = position < len(rule.vjps) and rule.vjps[position] is not None
        return named or rule.each is not None or rule.definition is not None

    @staticmethod
    def mixed(state: Any, leaf: Any) -> Any:
        if not is_floats(leaf):
            return leaf
        return leaf + REACH * np.reshape(state[np.arange(leaf.size) % SIZE], leaf.shape)

    @staticmethod
    def folded(state: Any, y: Any) -> Any:
        """Fold any number of results of any size into a few numbers of size 1; NaN is left out."""
        flat = np.reshape(np.where(np.isnan(y), 0, y), -1)
        weights = np.cos(np.outer(np.arange(SIZE), 1 + np.arange(flat.size))) / flat.size
        return np.sin(state[::-1] + weights @ np.arctan(flat))


@st.composite
def programs(draw: Any, changed: Callable[[Any, Any], Any] | None = None) -> Program:
    """Draw a program; `changed` changes the arguments that recipes have drawn."""
    calls = []
    for fn in draw(st.lists(st.sampled_from(WITH_RULE), min_size=1, max_size=4)):
        case = draw(strategy_for(fn))  # type: ignore[arg-type]
        if changed is not None:
            case = case._replace(args=tree_map(lambda leaf: changed(draw, leaf), case.args))
        calls.append((fn, case))
    return Program(calls)


def all_ways(program: Program, x: Any, d: Any) -> dict[str, Any]:
    """Differentiate a program in every way there is: slopes along d, and how they change along d."""
    first, second = tg.grad(program), tg.grad(lambda x: np.vdot(tg.grad(program)(x), d))
    w = Tensor(x, requires_grad=True)
    program(w).backward(create_graph=True)
    return {
        "gradient": first(x),
        "recorded gradient": np.zeros(SIZE) if w.grad is None else w.grad.detach().numpy(),
        "tangent": tg.jvp(program, (x,), (d,))[1],
        "reverse over reverse": second(x),
        "forward over reverse": tg.hvp(program, x, d),
    }


def measured(f: Any, x: Any, d: Any, h: float = 1 / 256) -> Any:
    """Return the slope of f along d, by differences of fourth order."""
    return (8 * (f(x + h * d) - f(x - h * d)) - (f(x + 2 * h * d) - f(x - 2 * h * d))) / (12 * h)


def assert_captured_equals(program: Program, x: Any) -> None:
    try:
        captured = tg.jit(tg.grad(program))(x)
    except CaptureError as refused:
        known = "shape depends on values", "needs a plain array", "branching"  # unique, nanmedian, lstsq
        assert any(why in str(refused) for why in known)  # noqa: PT017 (what else is refused is a failure)
        return
    np.testing.assert_array_equal(captured, tg.grad(program)(x), strict=True)


@MANY
@given(program=programs(), seed=st.integers(0, 1000))
def test_all_ways_are_right(program: Program, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, d = random.uniform(-1, 1, SIZE), random.uniform(-1, 1, SIZE)
    close = {"rtol": 1e-6, "atol": 1e-8}
    with np.errstate(all="ignore"):
        try:
            value = program(Tensor(x, requires_grad=True))
        except NoGradientRule:  # np.full_like of a plain array, say
            reject()
        np.testing.assert_allclose(value.data, program(x), rtol=1e-12)
        ways = all_ways(program, x, d)
        np.testing.assert_allclose(ways["recorded gradient"], ways["gradient"], rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(ways["tangent"], ways["gradient"] @ d, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(ways["gradient"] @ d, measured(program, x, d), **close)
        slopes = measured(tg.grad(program), x, d)
        np.testing.assert_allclose(ways["reverse over reverse"], slopes, **close)
        np.testing.assert_allclose(
            ways["forward over reverse"], ways["reverse over reverse"], rtol=1e-8, atol=1e-10
        )
        assert_captured_equals(program, x)


def special(draw: Any, leaf: Any) -> Any:
    """Put equal numbers, zeros, infinities and the like among those that a recipe has drawn."""
    if not is_floats(leaf):
        return leaf
    leaf = np.round(leaf) if draw(st.booleans()) else leaf.copy()
    finite = [x for x in SPECIAL if not np.isinf(x)]  # LAPACK may take for ever over matrices with infinities
    for place in draw(st.lists(st.integers(0, leaf.size - 1), max_size=3)):
        leaf.flat[place] = draw(st.sampled_from(SPECIAL if leaf.ndim < 2 else finite))
    return leaf


@MANY
@given(program=programs(special), x=st.lists(st.sampled_from(SPECIAL), min_size=SIZE, max_size=SIZE))
def test_all_ways_agree_wherever_it_is(program: Program, x: Any) -> None:
    x, d = np.array(x), np.linspace(0.5, 1.5, SIZE)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program(Tensor(x, requires_grad=True))
        except (NoGradientRule, ValueError, np.linalg.LinAlgError):
            reject()
        try:
            ways = all_ways(program, x, d)
        except np.linalg.LinAlgError:  # of a matrix that a rule divides by
            reject()
        gradient, tangent = ways["gradient"], ways["tangent"]
        np.testing.assert_allclose(ways["recorded gradient"], gradient, rtol=1e-9, atol=1e-13)
        if np.isfinite(gradient).all() and np.isfinite(tangent):
            np.testing.assert_allclose(tangent, gradient @ d, rtol=1e-8, atol=1e-8)
        twice, other = ways["reverse over reverse"], ways["forward over reverse"]
        if np.isfinite(twice).all() and np.isfinite(other).all():
            np.testing.assert_allclose(other, twice, rtol=1e-7, atol=1e-7)
        assert_captured_equals(program, x)
