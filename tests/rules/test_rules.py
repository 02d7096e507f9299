"""Every gradient rule in the table is checked against measured slopes, to the second order and in float32."""

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from cases import strategy_for
from conftest import PACKAGE_RULES
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import Tensor
from tinygrad_edu.recording import apply
from tinygrad_edu.rules import CONSTANT, function_name
from tinygrad_edu.rules.primitive import primitive
from tinygrad_edu.testing import (
    check_constant,
    check_gradient,
    numerical_gradient,
    numerical_jvp,
    numerical_vjp,
)

WITH_RULE = [fn for fn, rule in PACKAGE_RULES.items() if rule is not CONSTANT]
WITHOUT = [fn for fn, rule in PACKAGE_RULES.items() if rule is CONSTANT]


def callable_on_tensors(fn: Any) -> Any:
    """Return the function as users call it: the table has our primitives by their undecorated selves."""
    if getattr(fn, "__module__", None) is None or not fn.__module__.startswith("tinygrad_edu"):
        return fn
    public = getattr(sys.modules[fn.__module__], fn.__name__, None)
    if getattr(public, "__wrapped__", None) is fn:
        return public

    def through_the_door(*args: Any, **kwargs: Any) -> Any:
        return apply(fn, args, kwargs) if any_tensor(args) else fn(*args, **kwargs)

    through_the_door.__name__ = fn.__name__
    return through_the_door


def any_tensor(args: Any) -> bool:
    return any(
        isinstance(arg, Tensor) or (isinstance(arg, (list, tuple)) and any_tensor(arg)) for arg in args
    )


@pytest.mark.parametrize("fn", WITH_RULE, ids=function_name)
@given(data=st.data())
def test_gradient_of_every_rule(fn: Any, data: st.DataObject) -> None:
    strategy = strategy_for(fn)
    if strategy is None:
        name = function_name(fn)
        pytest.fail(
            f"{name} has a gradient rule that no test covers; add a line to its theme in tests/rules/cases:\n"
            f"    covers({name})(lambda draw: call(draw(arrays())))"
        )
    case = data.draw(strategy)
    function = case.function or callable_on_tensors(fn)  # empty arrays and arguments that do not matter, too
    check_gradient(function, *case.args, kwargs=case.kwargs, **case.options, vacuous=True)


# functions declared to have no gradient, and how to call the ones that np.ones(3) alone does not suit
SQUARE = np.arange(4.0).reshape(2, 2)
LINE = np.array([0.5, 1.5, 2.5])
WHOLE = np.array([1, 2, 3])  # for functions that floats are refused by, with and without Tensors
ARGUMENTS: dict[Any, tuple[Any, ...]] = {
    np.array_equal: (LINE, LINE),
    np.array_equiv: (LINE, LINE),
    np.isclose: (LINE, LINE),
    np.allclose: (LINE, LINE),
    np.argpartition: (LINE, 1),
    np.searchsorted: (LINE, LINE),
    np.digitize: (LINE, LINE),
    np.isin: (LINE, LINE),
    np.lexsort: ((LINE, LINE),),
    **dict.fromkeys((np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.gcd, np.lcm), (WHOLE, WHOLE)),
    **dict.fromkeys((np.left_shift, np.right_shift), (WHOLE, WHOLE)),
    **dict.fromkeys((np.invert, np.bitwise_count), (WHOLE,)),
    **dict.fromkeys((np.diag_indices_from, np.tril_indices_from, np.triu_indices_from), (SQUARE,)),
    np.linalg.matrix_rank: (SQUARE,),
    np.isnat: (np.array(["2020-01-01"], "datetime64[D]"),),
    np.ravel_multi_index: ((WHOLE,), (5,)),
    np.unravel_index: (WHOLE, (5,)),
    np.einsum_path: ("i,i->", LINE, LINE),
    **{save: (io.BytesIO(), LINE) for save in (np.save, np.savez, np.savez_compressed, np.savetxt)},
    np.can_cast: (np.float32, np.float64),
    np.shares_memory: (LINE, LINE),
    np.may_share_memory: (LINE, LINE),
}


@pytest.mark.parametrize("fn", WITHOUT, ids=function_name)
def test_constants_let_no_gradient_through(fn: Any) -> None:
    count = fn.nin if isinstance(fn, np.ufunc) else 1
    check_constant(fn, *ARGUMENTS.get(fn, (LINE,) * count))


def test_every_kind_of_wrong_rule_is_noticed() -> None:
    """The checks themselves: each of these mistakes must be found, and named."""

    def mistakes() -> Any:
        @tg.primitive(lambda g, y, x: g * x * (2 + 1e-6))
        def slightly_wrong(x: Any) -> Any:
            return x * x

        @tg.primitive(lambda g, y, x: g * 2 * np.asarray(getattr(x, "data", x)))
        def second_order_lost(x: Any) -> Any:
            return x * x

        @tg.primitive(lambda g, y, x: np.asarray(getattr(g, "data", g)) * 3.0)
        def cotangent_lost(x: Any) -> Any:
            return x * 3.0

        @tg.primitive(lambda g, y, x: (g * 3 + 1e5) - 1e5)
        def imprecise_in_float32(x: Any) -> Any:
            return x * 3

        yield slightly_wrong, "gradient of argument 0, element"
        yield second_order_lost, "second-order gradient of argument 0"
        yield cotangent_lost, "second-order gradient of the result's gradient"
        yield imprecise_in_float32, "float32"

    for fn, message in mistakes():
        with pytest.raises(AssertionError, match=message) as caught:
            check_gradient(fn, np.array([0.5, 1.25, 2.0]))
        assert fn.__name__ in str(caught.value)


def test_the_measured_slopes_are_good_to_ten_digits() -> None:
    x = np.linspace(0.5, 2, 7)
    for f, slope in (
        (np.log, 1 / x),
        (np.exp, np.exp(x)),
        (np.sqrt, 0.5 / np.sqrt(x)),
        (np.tanh, 1 - np.tanh(x) ** 2),
    ):
        ones = np.ones(7)
        np.testing.assert_allclose(numerical_vjp(f, [x], ones)[0], slope, rtol=1e-10)
        np.testing.assert_allclose(numerical_jvp(f, [x], [ones]), slope, rtol=1e-10)
        exact = numerical_vjp(f, [x], ones, method="complex")[0]
        np.testing.assert_allclose(exact, slope, rtol=1e-14)
    with pytest.raises(ValueError, match="one number"):
        numerical_gradient(np.log, [x])
    with pytest.raises(ValueError, match="central"):
        numerical_vjp(np.log, [x], x, method="forward")


@pytest.mark.parametrize("package", ["hypothesis"])
def test_the_checks_need_numpy_only(package: str) -> None:
    """Importing them with a package out of reach works; the strategies say what to install."""
    program = f"""
import sys
sys.modules[{package!r}] = None
from tinygrad_edu.testing import check_gradient
import numpy
check_gradient(numpy.sin, numpy.ones(2))
try:
    import tinygrad_edu.testing.strategies
except ImportError as error:
    assert 'pip install "tinygrad-edu[testing]"' in str(error), error
else:
    raise SystemExit("not refused")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_check_that_checks_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to check"):
        check_gradient(np.square, np.array([1, 2, 3]))
    with pytest.raises(AssertionError, match="square"):
        check_gradient(primitive(lambda g, y, x: g)(square), 3.0)


def square(x: Any) -> Any:
    return x * x
