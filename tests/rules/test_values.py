"""Functions defined by others give NumPy's own results: values, shapes, types and containers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import strategy_for
from conftest import PACKAGE_RULES
from hypothesis import given
from hypothesis import strategies as st
from test_rules import WITH_RULE, callable_on_tensors

from tinygrad_edu import Tensor
from tinygrad_edu.rules import function_name

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


def vector() -> Tensor:
    return Tensor([0.5, 1.5, 2.5], requires_grad=True)


LISTS: dict[str, Callable[[Any], Any]] = {
    "interp": lambda x: np.interp(x, [0, 1, 2, 3], [1.0, 2, 4, 8]),
    "interp values": lambda x: np.interp([0.5, 1.5], [0, 1, 2], x),
    "average": lambda x: np.average(x, weights=[1.0, 2, 3]),
    "average weights": lambda x: np.average([1.0, 2, 3], weights=x),
    "cov": lambda x: np.cov([1.0, 2, 4], x),
    "convolve": lambda x: np.convolve([1.0, 2], x),
    "correlate": lambda x: np.correlate([1.0, 2, 3, 4, 5], x),
    "diff": lambda x: np.diff(x, prepend=[0.0]),
    "gradient": lambda x: np.gradient([1.0, 2, 4], x),
    "trapezoid": lambda x: np.trapezoid([1.0, 2, 4], x),
    "polyval": lambda x: np.polyval(x, [2.0, 1]),
    "polyfit": lambda x: np.polyfit([1.0, 2, 3], x, 1),
    "polymul": lambda x: np.polymul([1.0, 0], x),
    "linspace": lambda x: np.linspace([3, 4, 5], x, 3),
    "solve": lambda x: np.linalg.solve([[2.0, 0, 1], [0, 1, 0], [1, 0, 1]], x),
    "lstsq": lambda x: np.linalg.lstsq([[2.0, 0, 1], [0, 1, 0], [1, 0, 1]], x)[0],
    "tensorsolve": lambda x: np.linalg.tensorsolve([[2.0, 0, 1], [0, 1, 0], [1, 0, 1]], x),
    "kron": lambda x: np.kron([1.0, 2], x),
    "cross": lambda x: np.cross([1.0, 2, 3], x),
    "multi_dot": lambda x: np.linalg.multi_dot([[[1.0, 2, 3], [4, 5, 6]], x]),
    "select": lambda x: np.select([[True, False, True]], [x]),
    "choose": lambda x: np.choose([0, 1, 0], [x, 1.0]),
    "insert": lambda x: np.insert([1.0, 2], [0], x[:1]),
    "append": lambda x: np.append([1.0], x),
    "bincount": lambda x: np.bincount([0, 1, 1], weights=x),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_numbers_stand_beside_tensors(name: str) -> None:
    x = vector()
    result = LISTS[name](x)
    np.testing.assert_allclose(result.numpy(), LISTS[name](x.data), rtol=1e-12)
    np.sum(result).backward()
    assert x.grad is not None


@pytest.mark.parametrize("f", [np.sum, np.median, np.std, np.sort, np.linalg.norm])
def test_a_list_of_tensors_in_place_of_an_array_is_refused_and_says_to_stack(f: Any) -> None:
    with pytest.raises(TypeError, match=r"np\.stack"):
        f([vector()[0], vector()[1]])
