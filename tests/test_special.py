"""scipy.special: every gradient rule against measured slopes, and loaded only after SciPy is."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sp = pytest.importorskip("scipy.special")

import cases.special  # noqa: E402,F401
from cases.base import CASES  # noqa: E402

import tinygrad_edu as tg  # noqa: E402
from tinygrad_edu import Tensor  # noqa: E402
from tinygrad_edu import special as own  # noqa: E402
from tinygrad_edu.rules import function_name  # noqa: E402
from tinygrad_edu.testing import check_gradient  # noqa: E402
from tinygrad_edu.testing.strategies import arrays, axes, shapes  # noqa: E402

FUNCTIONS = [fn for fn in tg.RULES if function_name(fn).startswith("scipy.special.")]


@pytest.mark.parametrize("fn", FUNCTIONS, ids=lambda fn: fn.__name__)
@settings(max_examples=max(1, settings().max_examples // 3))
@given(data=st.data())
def test_gradient_of_every_special_function(fn: Any, data: st.DataObject) -> None:
    case = data.draw(CASES[fn])
    check_gradient(fn, *case.args, **case.options, vacuous=True)


@pytest.mark.parametrize("fn", [sp.exprel, lambda x: sp.boxcox(np.array([0.5, 2.0]), x), sp.erf, sp.i0e])
def test_around_zero_where_formulas_would_cancel(fn: Any) -> None:
    x = Tensor(np.array([1e-12, 0.0]), requires_grad=True)
    fn(x).sum().backward(create_graph=True)
    assert x.grad is not None
    slope = x.grad
    x.grad = None
    slope.sum().backward()
    assert np.all(np.isfinite(slope.data))
    assert np.all(np.isfinite(x.grad.data))
    np.testing.assert_allclose(slope.data[0], slope.data[1], atol=1e-9 + (fn is sp.i0e))


@pytest.mark.parametrize("fn", [sp.entr, lambda x: sp.rel_entr(x, 0.5), lambda x: sp.kl_div(x, 0.5)])
def test_an_entropy_at_zero_has_an_infinite_slope(fn: Any) -> None:
    x = Tensor([0.0, 1.0], requires_grad=True)
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        fn(x).sum().backward()
    assert np.isinf(x.grad.data[0])
    assert np.isfinite(x.grad.data[1])


def test_zero_times_the_logarithm_of_zero_is_flat() -> None:
    y = Tensor([0.0, 0.5], requires_grad=True)
    sp.xlogy(0.0, y).sum().backward()
    assert y.grad.tolist() == [0.0, 0.0]


def test_an_order_without_a_formula_is_refused_and_not_taken_for_constant() -> None:
    order = Tensor(1.5, requires_grad=True)
    with pytest.raises(TypeError, match="order"):
        sp.jv(order, 2.0).backward()


def test_softplus_and_sinc_are_numpy_functions_underneath() -> None:
    x = Tensor([-1.0, 0.5], requires_grad=True)
    if hasattr(sp, "softplus"):  # from SciPy 1.17 on
        sp.softplus(x).sum().backward()
        np.testing.assert_allclose(x.grad.data, sp.expit(x.data), rtol=1e-15)
    assert sp.sinc is np.sinc


@pytest.mark.parametrize("fn", [sp.softmax, sp.log_softmax, sp.logsumexp])
def test_functions_that_take_arrays_only_refuse_a_tensor_instead_of_dropping_its_gradient(fn: Any) -> None:
    x = Tensor([-1.0, 0.5], requires_grad=True)
    with pytest.raises(TypeError, match=r"drop the gradient.*tinygrad_edu\.special"):
        fn(x)
    np.testing.assert_array_equal(np.asarray(fn(x.detach())), fn(x.data))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
@given(data=st.data())
def test_those_functions_are_here_with_scipys_values_and_gradients(name: str, data: st.DataObject) -> None:
    ours, scipys = getattr(own, name), getattr(sp, name)
    x = data.draw(arrays(shapes(min_dims=1, min_side=1), domain=(-3.0, 3.0)))
    axis = data.draw(axes(x.ndim))
    axis = axis if axis != () else None
    how: dict[str, Any] = {"axis": axis}
    if name == "logsumexp":
        how["keepdims"] = data.draw(st.booleans())
        if data.draw(st.booleans()):
            how["b"] = data.draw(arrays(st.just(x.shape), domain=(0.5, 2.0)))
    np.testing.assert_allclose(ours(x, **how), scipys(x, **how), rtol=1e-13, atol=1e-13)
    check_gradient(ours, x, kwargs=how)


@pytest.mark.parametrize(
    "x", [[-np.inf, -np.inf], [np.inf, 0.0], [-np.inf, 0.0], [1e308, 1e308], [1000, 0], [np.nan, 1.0]]
)
def test_those_functions_do_not_overflow(x: Any) -> None:
    with np.errstate(all="ignore"):
        for name in ("softmax", "log_softmax", "logsumexp"):
            np.testing.assert_allclose(getattr(own, name)(x), getattr(sp, name)(x), rtol=1e-15)
        np.testing.assert_allclose(own.logsumexp(x, b=[1.0, 0.0]), sp.logsumexp(x, b=[1.0, 0.0]), rtol=1e-15)


def test_everything_else_of_scipys_is_handed_on() -> None:
    assert own.erf is sp.erf
    with pytest.raises(AttributeError, match="no attribute 'erff'"):
        own.erff  # type: ignore[attr-defined]


def test_scipy_is_not_imported_before_its_functions_are_used() -> None:
    program = """
import sys, numpy as np, tinygrad_edu as tg
x = tg.Tensor([0.5], requires_grad=True)
try:
    np.histogram(x)
except tg.NoGradientRule:
    pass
assert "scipy" not in sys.modules
import scipy.special
assert "tinygrad_edu.rules.special" not in sys.modules
scipy.special.erf(x).sum().backward()
assert "tinygrad_edu.rules.special" in sys.modules
assert abs(x.grad.item() - 0.878782578935) < 1e-10
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
