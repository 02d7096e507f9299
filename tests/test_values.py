"""Functions defined by others give NumPy's own results: values, shapes, types and containers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import PACKAGE_RULES
from hypothesis import given
from hypothesis import strategies as st
from rule_cases import strategy_for
from test_rules import WITH_RULE, callable_on_tensors

from tinygrad_edu import Tensor
from tinygrad_edu.recording import function_name

PRECISION = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 3e-4, np.dtype(np.longdouble): 1e-12}


def rebuilt(value: Any, of_array: Callable[[Any], Any]) -> Any:
    """Return an argument with something else in place of its arrays of floats."""
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "f":
        return of_array(np.asarray(value))
    if isinstance(value, (list, tuple)):
        return type(value)(rebuilt(item, of_array) for item in value)
    return value


def assert_same(got: Any, expected: Any, precision: float) -> None:
    if isinstance(expected, (list, tuple)):
        assert type(got) is type(expected)
        assert len(got) == len(expected)
        for part, other in zip(got, expected, strict=True):
            assert_same(part, other, precision)
    elif isinstance(expected, (np.ndarray, np.generic)):
        assert isinstance(got, Tensor) or not np.ndim(expected), f"a plain {type(got)}"
        assert np.shape(got) == np.shape(expected)
        assert got.dtype == expected.dtype
        atol = precision * float(np.max(np.abs(expected), initial=0, where=np.isfinite(expected)))
        plain = got.numpy() if isinstance(got, Tensor) else got
        np.testing.assert_allclose(plain, expected, rtol=precision, atol=atol)
    else:
        assert type(got) is type(expected)
        np.testing.assert_equal(got, expected)


DEFINED = [fn for fn in WITH_RULE if PACKAGE_RULES[fn].definition is not None]


@pytest.mark.parametrize("fn", DEFINED, ids=function_name)
@given(data=st.data(), dtype=st.sampled_from([np.float64, np.float32]))
def test_values_are_those_of_numpy(fn: Any, data: st.DataObject, dtype: Any) -> None:
    strategy = strategy_for(fn)
    assert strategy is not None
    case = data.draw(strategy)
    call = case.function or callable_on_tensors(fn)
    chosen = case.options.get("argnums", range(len(case.args)))
    plain = rebuilt(case.args, lambda a: a.astype(dtype))
    tensors = tuple(
        rebuilt(arg, lambda a: Tensor(a, requires_grad=True)) if i in np.atleast_1d(chosen) else arg
        for i, arg in enumerate(plain)
    )
    assert_same(call(*tensors, **case.kwargs), call(*plain, **case.kwargs), PRECISION[np.dtype(dtype)])
