"""Every gradient rule in the table is checked against measured slopes, to the second order and in float32."""

from typing import Any

import numpy as np
import pytest
from conftest import PACKAGE_RULES
from hypothesis import given
from hypothesis import strategies as st
from rule_cases import strategy_for

from tinygrad_edu import Tensor
from tinygrad_edu.recording import apply, function_name
from tinygrad_edu.rules import CONSTANT
from tinygrad_edu.testing import check_constant, check_gradient

WITH_RULE = [fn for fn, rule in PACKAGE_RULES.items() if rule is not CONSTANT]
WITHOUT = [fn for fn, rule in PACKAGE_RULES.items() if rule is CONSTANT]


def callable_on_tensors(fn: Any) -> Any:
    """Return the function as users call it: the table has our primitives by their undecorated selves."""
    if getattr(fn, "__module__", None) is None or not fn.__module__.startswith("tinygrad_edu"):
        return fn

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
            f"{name} has a gradient rule that no test covers; add a line to tests/rule_cases.py:\n"
            f"    covers({name})(lambda draw: call(draw(arrays())))"
        )
    case = data.draw(strategy)
    check_gradient(case.function or callable_on_tensors(fn), *case.args, kwargs=case.kwargs, **case.options)


# functions declared to have no gradient, and how to call the ones that np.ones(3) alone does not suit
SQUARE = np.arange(4.0).reshape(2, 2)
LINE = np.array([0.5, 1.5, 2.5])
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
    np.can_cast: (np.float32, np.float64),
    np.shares_memory: (LINE, LINE),
    np.may_share_memory: (LINE, LINE),
}


@pytest.mark.parametrize("fn", WITHOUT, ids=function_name)
def test_constants_let_no_gradient_through(fn: Any) -> None:
    count = fn.nin if isinstance(fn, np.ufunc) else 1
    check_constant(fn, *ARGUMENTS.get(fn, (LINE,) * count))
