"""Tensor as an array: operators, dtypes, methods and protocols agree with plain NumPy."""

import copy
import math
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Tensor, no_grad
from tinygrad_edu.testing import check_gradient
from tinygrad_edu.testing.strategies import broadcastable, indices, laid_out, shapes

ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod)
COMPARISONS = (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)
BITWISE = (operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift)
TYPES = (np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_)
SQUARE = np.array([[1.0, 2.0], [3.0, 4.5]])


def assert_same(got: Any, expected: Any) -> None:
    """Check that a Tensor holds exactly what NumPy returned: type, shape, dtype and every bit."""
    assert isinstance(got, Tensor)
    assert got.shape == np.shape(expected)
    assert got.dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(got.numpy(), expected)


def plain(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value


# Operators


@st.composite
def operands(draw: Any, types: Any = TYPES) -> tuple[Any, Any]:
    """Draw two operands of which at least one is an array: arrays, NumPy scalars or Python numbers."""
    first, second = draw(broadcastable(2))
    random = np.random.default_rng(draw(st.integers(0, 999)))

    def array(shape: Any) -> Any:
        values = random.integers(1, 5, shape).astype(draw(st.sampled_from(types)))
        return laid_out(values, draw(st.sampled_from(["plain", "transposed", "reversed"])))

    other = draw(
        st.one_of(
            st.builds(lambda: array(second)),
            st.builds(lambda: array(())[()]),
            st.sampled_from([2, 3.0, 0.5, True] if np.float32 in types else [2, 3]),
        )
    )
    return array(first), other


@given(operands(), st.sampled_from(ARITHMETIC + COMPARISONS), st.booleans())
def test_operators_give_what_numpy_gives(pair: Any, op: Any, reflected: bool) -> None:
    a, b = pair
    try:
        expected = op(b, a) if reflected else op(a, b)
    except TypeError:  # NumPy refuses: boolean subtract
        with pytest.raises(TypeError):
            op(Tensor(a), b)
        return
    both = [(Tensor(a), b), (Tensor(a), Tensor(b))]
    if isinstance(b, (np.ndarray, np.generic)):
        both.append((a, Tensor(b)))
    else:  # a Python number is weak until it is put in a Tensor
        both.pop()
    for x, y in both:
        assert_same(op(y, x) if reflected else op(x, y), expected)


@given(operands((np.int32, np.int64, np.uint8)), st.sampled_from(BITWISE), st.booleans())
def test_bitwise_operators_give_what_numpy_gives(pair: Any, op: Any, reflected: bool) -> None:
    a, b = pair
    assert_same(op(b, Tensor(a)) if reflected else op(Tensor(a), b), op(b, a) if reflected else op(a, b))


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, -2, 0.0, 0.5, 2.0, -1.0, 1.5, True, np.float64(2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_power_gives_what_numpy_gives_to_the_last_bit(exponent: Any, dtype: Any) -> None:
    x = np.random.default_rng(0).uniform(0.1, 3, 1000).astype(dtype)
    # before NumPy 2.3, ** took NumPy's own numbers for Python's, and kept float32 where np.power does not
    expected = np.power(x, exponent) if isinstance(exponent, np.generic) else x**exponent
    assert_same(Tensor(x) ** exponent, expected)
    assert_same(Tensor(x, requires_grad=True) ** exponent, expected)
    if exponent > 0:
        assert_same(exponent ** Tensor(x), exponent**x)


def test_integer_powers() -> None:
    n = np.array([1, 2, 3])
    assert_same(Tensor(n) ** 2, n**2)
    assert_same(2 ** Tensor(n), 2**n)
    with pytest.raises(ValueError, match="negative integer powers"):
        Tensor(n) ** -1


@pytest.mark.parametrize("op", [operator.neg, operator.pos, operator.abs])
def test_unary_operators(op: Any) -> None:
    assert_same(op(Tensor(SQUARE - 2)), op(SQUARE - 2))


def test_invert_divmod_and_matmul() -> None:
    mask = SQUARE > 2
    assert_same(~Tensor(mask), ~mask)
    for got, expected in zip(divmod(Tensor(SQUARE), 0.7), divmod(SQUARE, 0.7), strict=True):
        assert_same(got, expected)
    for got, expected in zip(divmod(7.0, Tensor(SQUARE)), divmod(7.0, SQUARE), strict=True):
        assert_same(got, expected)
    assert_same(Tensor(SQUARE) @ SQUARE, SQUARE @ SQUARE)
    assert_same(SQUARE @ Tensor(SQUARE), SQUARE @ SQUARE)
    assert_same([1.0, 2.0] @ Tensor(SQUARE), [1.0, 2.0] @ SQUARE)
    assert_same(Tensor(SQUARE) @ [1.0, 2.0], SQUARE @ [1.0, 2.0])


@pytest.mark.parametrize("op", ARITHMETIC + COMPARISONS)
def test_an_array_on_the_left_gives_way_to_the_tensor(op: Any) -> None:
    for left in (SQUARE, np.float64(2), np.float32(2), 2, 2.0):
        assert_same(op(left, Tensor(SQUARE)), op(left, SQUARE))


def test_a_float32_parameter_stays_float32_beside_python_numbers() -> None:
    w = Tensor(np.ones(2, np.float32), requires_grad=True)
    loss = np.sum((2.0 * w + 1) ** 2 / 3 - w)
    assert loss.dtype == np.float32
    loss.backward()
    assert w.grad.dtype == np.float32


def test_gradients_return_to_the_dtype_of_the_argument() -> None:
    w = Tensor(np.ones(2, np.float32), requires_grad=True)
    b = Tensor(np.float64(3), requires_grad=True)
    loss = np.sum(w * b)
    assert loss.dtype == np.float64
    loss.backward()
    assert (w.grad.dtype, b.grad.dtype) == (np.float32, np.float64)


def test_in_place_operators_rebind_computed_tensors_and_update_parameters_under_no_grad() -> None:
    start = Tensor([1.0, 2.0], requires_grad=True, name="w")
    x = start * 1
    x += 1
    x *= 3
    np.sum(x).backward()
    assert start.grad.tolist() == [3.0, 3.0]
    w = start
    with pytest.raises(TypeError, match=r"replace w by.*assign"):
        w -= 0.1 * w.grad
    with no_grad():
        w -= 0.1 * w.grad
    assert w is start
    np.testing.assert_allclose(w.numpy(), [0.7, 1.7])


def test_a_tensor_of_a_tensor_or_of_shared_memory() -> None:
    w = Tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match="detach"):
        Tensor(w)
    assert isinstance(Tensor(w.detach()).data, np.ndarray)
    base = np.ones(1)
    t = Tensor(np.broadcast_to(base, 3))
    base[:] = 5
    assert t.tolist() == [1, 1, 1]
    with pytest.raises(TypeError, match="mask"):
        Tensor(np.ma.masked_array([1.0, 2.0], [True, False]))


def test_at_keeps_the_dtype_and_needs_an_index() -> None:
    assert Tensor(np.ones(2, np.float32)).at[0].add(np.float64(2)).dtype == np.float32
    with pytest.raises(TypeError, match="cannot hold"):
        Tensor([1, 2]).at[0].set(0.7)
    with pytest.raises(TypeError, match="index"):
        Tensor([1.0]).at.set(5.0)


def test_an_ndarray_refuses_a_tensor_in_place() -> None:
    total = np.zeros(2)
    with pytest.raises(TypeError, match="out="):
        total += Tensor([1.0, 2.0])
    with pytest.raises(TypeError, match=r"result = np\.exp"):
        np.exp(Tensor([1.0]), out=np.zeros(1))
    with pytest.raises(TypeError, match="out="):
        np.exp(np.zeros(1), out=Tensor([1.0]))
    assert total.tolist() == [0, 0]


@pytest.mark.parametrize("needs", [False, True])
def test_out_is_refused_by_functions_too(needs: bool) -> None:
    x, buffer = Tensor([[1.0, 2.0]], requires_grad=needs), np.zeros(2)
    with pytest.raises(TypeError, match="out="):
        np.sum(x, axis=0, out=buffer)
    with pytest.raises(TypeError, match="out="):
        np.sum(x, 0, None, buffer)
    assert buffer.flags.writeable


def test_setting_an_element_is_refused_with_advice() -> None:
    x = Tensor([1.0, 2.0])
    with pytest.raises(TypeError, match=r"np\.where"):
        x[0] = 5
    assert x.tolist() == [1, 2]


def test_matmul_refuses_numbers_as_numpy_does() -> None:
    with pytest.raises(ValueError, match="matmul"):
        Tensor(SQUARE) @ 2.0


# Equality, truth and hashing


def test_hash_is_identity_and_equality_elementwise() -> None:
    a, b = Tensor([1.0, 2.0]), Tensor([1.0, 2.0])
    assert len({a, b, a}) == 2
    assert_same(a == b, np.array([True, True]))
    assert_same(a != 1.0, np.array([False, True]))
    assert 2.0 in a
    assert 3.0 not in a
    with pytest.raises(ValueError, match="ambiguous"):
        bool(a == b)
    assert bool(Tensor(1.0) == 1)
    assert not Tensor(0.0)


def test_comparisons_let_no_gradient_through() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    for op in COMPARISONS:
        assert not op(x, 1.5).requires_grad


# Numbers


def test_scalars_turn_into_python_numbers() -> None:
    x = Tensor(2.5, requires_grad=True)
    assert (float(x), int(x), x.item(), math.floor(x.item())) == (2.5, 2, 2.5, 2)
    assert math.sqrt(x.detach()) == math.sqrt(2.5)
    assert f"{x:.3f}" == "2.500"
    assert operator.index(Tensor(3)) == 3
    assert ["a", "b"][Tensor(1)] == "b"
    assert Tensor([[1.0, 2.0]]).item(0, 1) == 2.0
    with pytest.raises(TypeError):
        operator.index(x)
    with pytest.raises(TypeError):
        float(Tensor([1.0, 2.0]))


def test_lists_of_tensors_name_what_joins_them() -> None:
    t, a = Tensor(0.3, requires_grad=True), Tensor([1.0, 2.0], requires_grad=True)
    calls: dict[str, Callable[[], Any]] = {
        "np.array([[t, -np.sin(t)], [np.sin(t), t]])": lambda: np.array([[t, -np.sin(t)], [np.sin(t), t]]),
        "np.asarray([a, a])": lambda: np.asarray([a, a]),
        "np.sum([a, a])": lambda: np.sum([a, a]),
        "np.r_[a, a]": lambda: np.r_[a, a],
        "np.vectorize(abs)(a)": lambda: np.vectorize(abs)(a),
    }
    for expression, call in calls.items():
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value).startswith(f"{expression:.60} would drop the gradient")
        assert "np.stack([a, b])" in str(caught.value)
        assert "np.block(" in str(caught.value)
    rotation = np.block([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    assert_same(rotation, [[math.cos(0.3), -math.sin(0.3)], [math.sin(0.3), math.cos(0.3)]])


def test_item_tolist_numpy_len_iter() -> None:
    x = Tensor(SQUARE, requires_grad=True)
    assert x.tolist() == SQUARE.tolist()
    assert len(x) == 2
    rows = list(x)
    assert_same(rows[1], SQUARE[1])
    assert rows[1].requires_grad
    assert isinstance(x.numpy(), np.ndarray)
    assert isinstance(np.sum(x).numpy(), np.ndarray)
    assert (x.ndim, x.size, x.shape, x.nbytes, x.dtype) == (2, 4, (2, 2), 32, np.float64)
    with pytest.raises(TypeError):
        len(Tensor(1.0))
    with pytest.raises(TypeError):
        iter(Tensor(1.0))


@pytest.mark.parametrize("size", [1, 0])
def test_builtins_work_through_the_protocols(size: int) -> None:
    x = np.arange(3.0)[: 3 * size]
    check_gradient(lambda a: sum(a, start=np.sum(a)), x, vacuous=True)
    check_gradient(lambda a: np.concatenate([a, *(v[None] for v in reversed(a))]), x, vacuous=True)


# Methods


METHODS = {
    "reshape": lambda a: a.reshape(4),
    "reshape-varargs": lambda a: a.reshape(2, 1, 2),
    "reshape-tuple": lambda a: a.reshape((1, -1)),
    "reshape-F": lambda a: a.reshape(4, order="F"),
    "transpose": lambda a: a.transpose(),
    "transpose-varargs": lambda a: a.transpose(1, 0),
    "transpose-tuple": lambda a: a.transpose((1, 0)),
    "T": lambda a: a.T,
    "mT": lambda a: a.mT,
    "swapaxes": lambda a: a.swapaxes(0, 1),
    "ravel": lambda a: a.ravel(),
    "ravel-F": lambda a: a.ravel("F"),
    "flatten": lambda a: a.flatten(),
    "squeeze": lambda a: a[None].squeeze(),
    "squeeze-axis": lambda a: a[None].squeeze(axis=0),
    "repeat": lambda a: a.repeat(2, axis=1),
    "sum": lambda a: a.sum(),
    "sum-keepdims": lambda a: a.sum(axis=1, keepdims=True),
    "mean": lambda a: a.mean(0),
    "var": lambda a: a.var(axis=1, ddof=1),
    "std": lambda a: a.std(axis=(0, 1)),
    "prod": lambda a: a.prod(axis=0),
    "max": lambda a: a.max(axis=1),
    "min": lambda a: a.min(),
    "cumsum": lambda a: a.cumsum(axis=1),
    "clip": lambda a: a.clip(1.5, 4.0),
    "clip-min": lambda a: a.clip(min=1.5),
    "dot": lambda a: a.dot(a),
    "copy": lambda a: a.copy(),
    "astype": lambda a: a.astype(np.float64),
    "add.reduce": lambda a: np.add.reduce(a),
    "add.reduce-1": lambda a: np.add.reduce(a, 1),
    "multiply.reduce": lambda a: np.multiply.reduce(a, axis=None),
    "maximum.reduce": lambda a: np.maximum.reduce(a, axis=-1, keepdims=True),
    "add.accumulate": lambda a: np.add.accumulate(a, 1),
    "multiply.outer": lambda a: np.multiply.outer(a, a),
    "subtract.outer": lambda a: np.subtract.outer([1.0, 2.0], a),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_methods_agree_with_ndarray_and_have_gradients(method: Any) -> None:
    assert_same(method(Tensor(SQUARE)), method(SQUARE))
    assert_same(method(Tensor(SQUARE, requires_grad=True)).detach(), method(SQUARE))
    check_gradient(method, SQUARE)


@pytest.mark.parametrize(
    "method",
    [
        lambda a: a.argmax(),
        lambda a: a.argmax(axis=1),
        lambda a: a.argmin(axis=0, keepdims=True),
        lambda a: (a > 2).any(axis=0),
        lambda a: (a > 2).all(),
        lambda a: a.round(),
        lambda a: a.round(1),
        lambda a: a.astype(np.float32),
        lambda a: a.astype(int),
        lambda a: np.shape(a[0])[0] + a[0],
    ],
)
def test_methods_without_gradients_agree_with_ndarray(method: Any) -> None:
    assert_same(method(Tensor(SQUARE)), method(SQUARE))
    assert_same(method(Tensor(SQUARE, requires_grad=True)), method(SQUARE))


def test_astype_gives_back_the_gradient_in_the_first_type() -> None:
    x = Tensor(SQUARE, requires_grad=True)
    np.sum(x.astype(np.float32) * 2).backward()
    assert x.grad.dtype == np.float64
    assert not x.astype(int).requires_grad


@given(st.data())
def test_any_index_gives_what_numpy_gives(data: st.DataObject) -> None:
    shape = data.draw(shapes())
    x = np.arange(math.prod(shape), dtype=float).reshape(shape)
    index = data.draw(indices(shape))
    assert_same(Tensor(x)[index], x[index])
    assert_same(Tensor(x, requires_grad=True)[index].detach(), x[index])


@pytest.mark.parametrize(
    "index",
    [
        Tensor(1),
        Tensor([0, 1, 1]),
        (slice(None), Tensor([0, 1, 1])),
        Tensor(SQUARE) > 2.5,
        (Tensor([0, 1]), Tensor([1, 1])),
        [Tensor(1), Tensor(0)],
        slice(None, Tensor(1)),
        (None, Ellipsis, Tensor(0)),
    ],
)
def test_tensors_of_integers_and_booleans_are_indices(index: Any) -> None:
    def numbers(part: Any) -> Any:
        if isinstance(part, tuple):
            return tuple(numbers(p) for p in part)
        if isinstance(part, list):
            return [int(p) for p in part]
        return slice(0, 1) if isinstance(part, slice) and part.stop is not None else plain(part)

    assert_same(Tensor(SQUARE)[index], SQUARE[numbers(index)])
    check_gradient(lambda a: a[index], SQUARE)
    check_gradient(lambda a: np.take(a, Tensor([0, 3])), SQUARE)


def test_an_index_that_numpy_refuses_is_refused() -> None:
    x = Tensor(SQUARE, requires_grad=True)
    with pytest.raises(IndexError):
        x[5]
    with pytest.raises(IndexError):
        x[0.5]
    with pytest.raises(IndexError):
        x[:, :, 0]


# What becomes of it elsewhere


def test_a_tensor_that_needs_a_gradient_is_not_silently_turned_into_an_array() -> None:
    x = Tensor(SQUARE, requires_grad=True)
    for conversion in (np.array, np.asarray, lambda t: np.array([t, t]), lambda t: Tensor([t, t])):
        with pytest.raises(TypeError, match=r"np\.stack"):
            conversion(x)
    with pytest.raises(TypeError, match=r"np\.stack"):
        np.array([Tensor(1.0, requires_grad=True), 2.0])


def test_a_constant_turns_into_an_array() -> None:
    x = Tensor(SQUARE)
    np.testing.assert_array_equal(np.asarray(x), SQUARE)
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    mine = np.array(x)
    mine[0] = 7
    assert x.tolist() == SQUARE.tolist()
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(x)[0] = 7


def test_the_data_is_the_tensors_own() -> None:
    mine = SQUARE.copy()
    x = Tensor(mine, requires_grad=True)
    mine[0] = 99
    assert x.tolist() == SQUARE.tolist()
    for t in (x, x * 2, np.sum(x, axis=0), x[0], x.T):
        with pytest.raises(ValueError, match="read-only"):
            t.data[...] = 0


def test_requires_grad_needs_real_floats() -> None:
    for data in (1, [1, 2], [True], np.array([1 + 2j])):
        with pytest.raises(TypeError, match="floating-point"):
            Tensor(data, requires_grad=True)
    x = Tensor([1, 2])
    with pytest.raises(TypeError, match="floating-point"):
        x.requires_grad = True
    assert Tensor([1, 2], requires_grad=True, dtype=float).requires_grad
    with pytest.raises(TypeError, match="complex"):
        Tensor([1.0], requires_grad=True) * 1j


def test_requires_grad_of_a_result_cannot_be_set() -> None:
    y = Tensor(1.0, requires_grad=True) * 2
    with pytest.raises(RuntimeError, match="detach"):
        y.requires_grad = False
    assert not y.is_leaf
    x = Tensor(1.0)
    x.requires_grad = True
    assert x.is_leaf
    assert (x * 2).requires_grad


@pytest.mark.parametrize("clone", [lambda t: pickle.loads(pickle.dumps(t)), copy.deepcopy, copy.copy])
def test_leaves_can_be_pickled_and_copied(clone: Any) -> None:
    x = Tensor(np.ones(2, np.float32), requires_grad=True, name="w")
    y = clone(x)
    assert_same(y, x.data)
    assert (y.requires_grad, y.name, y is x) == (True, "w", False)
    assert not clone(Tensor([1.0])).requires_grad
    assert clone(Tensor([1, 2])).dtype == np.array([1]).dtype
    with pytest.raises(TypeError, match="detach"):
        clone(x * 2)


def test_repr() -> None:
    assert repr(Tensor([1.0, 2.0])) == "Tensor([1., 2.])"
    assert repr(Tensor([1, 2])) == f"Tensor([1, 2], dtype={np.array([1]).dtype})"
    x = Tensor(np.ones(2, np.float32), requires_grad=True, name="w")
    assert repr(x) == "Tensor([1., 1.], dtype=float32, name='w', requires_grad=True)"
    assert repr(np.exp(Tensor(0.0, requires_grad=True))) == "Tensor(1.0, from=np.exp)"
    assert repr(x[0]).endswith("from=getitem)")
    assert len(repr(Tensor(np.zeros((100, 100))))) < 1000
    assert repr(Tensor(np.zeros((0, 2)))).startswith("Tensor([]")
    assert str(x) == repr(x)


def test_arrays_know_tensors_of_other_dtypes() -> None:
    x = Tensor(np.arange(3, dtype=np.uint8))
    assert_same(x + np.float32(1), np.arange(3, dtype=np.uint8) + np.float32(1))
    assert_same(np.mean(x), np.mean(np.arange(3, dtype=np.uint8)))
    assert_same(np.concatenate([x, np.ones(2, np.float32)]), np.concatenate([x.data, np.ones(2, np.float32)]))


# Random expressions

LEAVES = st.sampled_from(["f32", "f64", "i64", "scalar32", 2, 1.5])
VALUES = {
    "f32": np.array([0.5, 1.5, 2.5], np.float32),
    "f64": np.array([[1.25], [2.0]]),
    "i64": np.array([1, 2, 3]),
    "scalar32": np.float32(1.5),
}
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from([operator.add, operator.sub, operator.mul, np.maximum]), inner, inner),
        st.tuples(st.sampled_from([np.tanh, np.sum, operator.neg, np.atleast_2d, np.square]), inner),
    ),
    max_leaves=6,
)


def evaluate(expression: Any, leaves: dict[str, Any]) -> Any:
    if isinstance(expression, tuple):
        fn, *parts = expression
        return fn(*(evaluate(part, leaves) for part in parts))
    return leaves.get(expression, expression)


@given(EXPRESSIONS)
def test_expressions_have_the_values_and_dtypes_of_numpy(expression: Any) -> None:
    """Promotion as in NumPy 2 (NEP 50): Python numbers are weak, everything else is strong."""
    expected = evaluate(expression, VALUES)
    for needs in (False, True):
        leaves = {k: Tensor(v, requires_grad=needs and k != "i64") for k, v in VALUES.items()}
        got = evaluate(expression, leaves)
        if isinstance(got, Tensor):
            assert_same(got.detach(), expected)


def test_filling_carries_the_gradient() -> None:
    t = Tensor([1.0, 2.0], requires_grad=True)
    filled = np.full((3, 2), t, np.float32, like=t)
    assert filled.dtype == np.float32
    np.sum(filled).backward()
    np.testing.assert_array_equal(t.grad, [3.0, 3.0])
    t = Tensor(2.0, requires_grad=True)
    np.sum(np.full_like(Tensor(np.zeros(3)), t) * [1.0, 2.0, 3.0]).backward()
    assert t.grad is not None
    assert t.grad.item() == 6
