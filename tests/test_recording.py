"""Recording: what is recorded, what is refused and how, no_grad, and functions of the user's own."""

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import NoGradientRule, Tensor
from tinygrad_edu.rules import function_name
from tinygrad_edu.state import call_transforming, inside_transform, is_recording
from tinygrad_edu.testing import check_gradient


def leaf(data: Any = (1.0, 2.0, 3.0)) -> Tensor:
    return Tensor(np.asarray(data, float), requires_grad=True)


# What a node remembers


def test_a_node_remembers_the_call() -> None:
    x = leaf()
    with tg.scope("dense_1"):
        y = np.maximum(x, 0.5)  # this line
    assert y.node.fn is np.maximum
    assert y.node.args == (x, 0.5)
    assert y.node.scope == ("dense_1",)
    assert y.node.name == "maximum"
    file, line = y.node.source()
    with open(file) as text:
        assert "this line" in text.readlines()[line - 1]
    assert (y * 2).node.scope == ()


def test_operators_and_methods_name_the_users_line() -> None:
    x = leaf()
    for result in (x + 1, x.sum(), x[0], x**2, -x, np.split(x, 3)[0]):
        assert result.node.source()[0] == __file__


def test_calls_without_gradients_leave_nothing_behind() -> None:
    x = Tensor([1.0, 2.0])
    assert (x * 2 + 1).node is None
    assert np.concatenate([x, x]).node is None
    assert np.shape(leaf()) == (3,)
    assert np.ndim(leaf()) == 0 + 1
    assert np.zeros_like(leaf()).node is None
    assert type(np.zeros_like(leaf())) is Tensor


# Functions without a rule


def mystery(x: Any) -> Any:
    return x * 2


def test_a_function_without_a_rule_is_refused_with_the_line_to_write() -> None:
    x = leaf()
    with pytest.raises(NoGradientRule) as caught:
        np.busday_count(x, 2)
    message = str(caught.value)
    assert "np.busday_count has no gradient rule" in message
    assert "tg.rule(np.busday_count, lambda g, y, a: ...)" in message
    assert "detach()" in message
    with pytest.raises(NoGradientRule, match=r"lambda g, y, a, b: \.\.\."):
        np.busday_count(1, x)


def test_a_function_without_a_rule_works_without_gradients() -> None:
    assert np.roots(Tensor([1.0, -3.0, 2.0])).tolist() == [2.0, 1.0]
    assert np.roots(leaf([1.0, -3.0, 2.0]).detach()).tolist() == [2.0, 1.0]
    with tg.no_grad():
        assert np.roots(leaf([1.0, -3.0, 2.0])).tolist() == [2.0, 1.0]


def test_an_argument_without_a_rule_is_refused() -> None:
    with pytest.raises(NoGradientRule, match="argument number 2"):
        np.take(leaf(), leaf())
    with pytest.raises(NoGradientRule, match="constant_values"):
        np.pad(leaf(), 1, constant_values=leaf(1.0))


def test_keyword_arguments_may_need_gradients_where_they_have_a_position() -> None:
    x = leaf()
    check_gradient(lambda a: np.sum(a=a, axis=0), x.data)
    check_gradient(lambda a: np.clip(a, 0.2, a_max=a[2] + 1), x.data)


def test_unhashable_and_foreign_functions() -> None:
    assert function_name(np.exp) == "np.exp"
    assert function_name(np.linalg.norm) == "np.linalg.norm"
    assert function_name(mystery).endswith("test_recording.mystery")


# Functions of the user's own


def test_a_primitive_is_two_lines() -> None:
    @tg.primitive(lambda g, y, x: g * (1 - y * y))
    def my_tanh(x: Any) -> Any:
        """Squash."""
        return np.tanh(x)

    check_gradient(my_tanh, np.array([0.3, -1.0]))
    assert isinstance(my_tanh(np.ones(2)), np.ndarray)
    assert my_tanh.__doc__ == "Squash."
    x = leaf()
    y = my_tanh(x)
    assert y.node.fn is my_tanh.__wrapped__
    assert y.node.name == "my_tanh"


def test_a_rule_for_a_function_that_takes_tensors_apart() -> None:
    def through_numpy(x: Any) -> Any:
        return np.asarray(x) ** 3

    call = tg.primitive(lambda g, y, x: g * 3 * x**2)(through_numpy)
    check_gradient(call, np.array([0.3, -1.0]))


def test_a_primitive_of_several_arguments_and_keywords() -> None:
    @tg.primitive(
        lambda g, y, a, b, scale=1.0: g * b * scale,
        lambda g, y, a, b, scale=1.0: g * a * scale,
        elementwise=True,
    )
    def scaled_product(a: Any, b: Any, scale: float = 1.0) -> Any:
        return a * b * scale

    check_gradient(scaled_product, np.ones((2, 3)), np.arange(3.0), kwargs={"scale": 2.5})
    check_gradient(lambda a: scaled_product(2.0, b=a), np.arange(3.0))
    x = leaf()
    with pytest.raises(NoGradientRule, match="scale"):
        scaled_product(1.0, 2.0, scale=x)


def test_a_primitive_without_a_gradient_for_one_argument() -> None:
    @tg.primitive(None, lambda g, y, mask, x: g * mask)
    def masked(mask: Any, x: Any) -> Any:
        return mask * x

    x, mask = leaf(), leaf([0.0, 1.0, 1.0])
    np.sum(masked(mask, x)).backward()
    assert x.grad.tolist() == [0, 1, 1]
    assert mask.grad is None


def test_a_primitive_with_several_results() -> None:
    @tg.primitive(lambda g, y, x: g[0] * np.cos(x) - g[1] * np.sin(x))
    def both(x: Any) -> Any:
        return np.sin(x), np.cos(x)

    check_gradient(both, np.array([0.3, -1.0]))
    check_gradient(lambda x: both(x)[1], np.array([0.3, -1.0]))
    check_gradient(lambda x: both(both(x)[0])[0] * both(x)[1], np.array([0.3, -1.0]))


def test_a_primitive_of_a_list() -> None:
    @tg.primitive(lambda g, y, parts: [g * 2 for _ in parts])
    def double_sum(parts: Any) -> Any:
        return 2 * sum(parts)

    check_gradient(lambda a, b: double_sum([a, b]), np.ones(2), np.ones(2))
    check_gradient(lambda a: double_sum([a, a, np.ones(2)]), np.ones(2))


def test_none_for_one_item_of_a_list_means_no_gradient() -> None:
    @tg.primitive(lambda g, y, parts: [g, None])
    def first(parts: Any) -> Any:
        return parts[0] * 1.0

    a, b = leaf(), leaf()
    np.sum(first([a, b])).backward()
    assert a.grad.tolist() == [1, 1, 1]
    assert b.grad is None or b.grad.tolist() == [0, 0, 0]


def test_rule_replaces_and_constant_declares() -> None:
    before = tg.RULES[np.sign]
    try:
        tg.constant(np.sign)
        assert not np.sign(leaf()).requires_grad
        tg.rule(np.sign, lambda g, y, x: g * 7)
        x = leaf()
        np.sign(x).sum().backward()
        assert x.grad.tolist() == [7, 7, 7]
    finally:
        tg.RULES[np.sign] = before


def test_rule_refuses_what_would_never_be_used() -> None:
    def cube(x: Any) -> Any:
        return x * x * x

    with pytest.raises(TypeError, match="primitive"):
        tg.rule(cube, lambda g, y, x: g)
    for wrong in (lambda: tg.rule(3, lambda g: g), lambda: tg.rule(np.sin, 3)):
        with pytest.raises(TypeError, match="takes a function"):
            wrong()
    with pytest.raises(TypeError, match="rules first"):
        tg.primitive(cube)(leaf())


def test_a_recorded_list_is_not_the_users() -> None:
    x, z = leaf(), leaf()
    parts = [x, x]
    total = np.sum(np.stack(parts))
    parts[0] = z
    parts.append(z)
    total.backward()
    assert x.grad.tolist() == [2, 2, 2]
    assert z.grad is None


def test_a_primitive_that_uses_other_tensors_is_refused() -> None:
    w = leaf()

    @tg.primitive(lambda g, y, x: g)
    def scaled(x: Any) -> Any:
        return x * w

    with pytest.raises(TypeError, match="not among its arguments"):
        scaled(leaf())


def test_results_that_are_the_callers_arrays_stay_writeable() -> None:
    mine = np.ones(3)
    np.broadcast_arrays(Tensor(np.ones(3)), mine)
    assert mine.flags.writeable


def test_a_rule_of_the_wrong_shape_is_refused_by_name() -> None:
    @tg.primitive(lambda g, y, x: g)
    def total(x: Any) -> Any:
        return np.sum(x)

    with pytest.raises(ValueError, match=r"total gave shape \(\).*argument number 1 of shape \(3,\)"):
        total(leaf()).backward()


# no_grad


def test_no_grad_as_a_block_and_on_errors() -> None:
    x = leaf()
    with tg.no_grad():
        assert not (x * 2).requires_grad
        with tg.no_grad():
            assert not is_recording()
        assert not is_recording()
    assert (x * 2).requires_grad
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError
    assert is_recording()


def test_no_grad_as_a_decorator_with_and_without_parentheses() -> None:
    x = leaf()

    @tg.no_grad
    def plain(y: Any) -> Any:
        return y * 2

    @tg.no_grad()
    def called(y: Any) -> Any:
        if y is None:
            raise KeyError
        return plain(y)

    assert not plain(x).requires_grad
    assert not called(x).requires_grad
    assert is_recording()
    assert called.__name__ == "called"
    with pytest.raises(KeyError):
        called(None)
    assert is_recording()


def test_one_no_grad_can_be_entered_many_times() -> None:
    quiet = tg.no_grad()
    for _ in range(2):
        with quiet, quiet:
            assert not is_recording()
        assert is_recording()


def test_no_grad_inside_a_layer_keeps_the_scope() -> None:
    x = leaf()
    with tg.scope("a"):
        with tg.no_grad(), tg.scope("b"):
            pass
        assert (x * 2).node.scope == ("a",)
    assert (x * 2).node.scope == ()


def test_a_layer_leaves_recording_and_transforms_as_they_are() -> None:
    x = leaf()
    with tg.no_grad(), tg.scope("a"):
        assert (x * 2).node is None

    def look() -> None:
        with tg.scope("a"):
            assert inside_transform()

    call_transforming(look)


def test_no_grad_refuses_what_runs_later() -> None:
    def numbers() -> Any:
        yield 1

    async def task() -> None:
        pass

    async def stream() -> Any:
        yield 1

    for fn in (numbers, task, stream):
        with pytest.raises(TypeError, match="with no_grad"):
            tg.no_grad(fn)
        with pytest.raises(TypeError, match="with no_grad"):
            tg.no_grad()(fn)


def test_no_grad_holds_for_one_thread() -> None:
    seen: dict[str, bool] = {}
    entered, checked = threading.Event(), threading.Event()

    def quiet() -> None:
        with tg.no_grad():
            entered.set()
            checked.wait(5)
            seen["quiet"] = (leaf() * 2).requires_grad

    thread = threading.Thread(target=quiet)
    thread.start()
    entered.wait(5)
    seen["main"] = (leaf() * 2).requires_grad
    checked.set()
    thread.join()
    assert seen == {"main": True, "quiet": False}


def test_no_grad_holds_for_one_asyncio_task() -> None:
    async def quiet() -> bool:
        with tg.no_grad():
            await asyncio.sleep(0.01)
            return bool((leaf() * 2).requires_grad)

    async def loud() -> bool:
        await asyncio.sleep(0.005)
        return bool((leaf() * 2).requires_grad)

    async def both() -> list[bool]:
        return await asyncio.gather(quiet(), loud())

    assert asyncio.run(both()) == [False, True]
    assert is_recording()


def test_threads_train_independently() -> None:
    results: dict[int, list[float]] = {}

    def train(seed: int) -> None:
        w = leaf(np.full(3, float(seed)))
        for _ in range(200):
            w.grad = None
            np.sum(w * w).backward()
            w.assign(w.data - 0.1 * w.grad.data)
        results[seed] = w.tolist()

    threads = [threading.Thread(target=train, args=(seed,)) for seed in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(1, 5):
        np.testing.assert_allclose(results[seed], seed * 0.8**200)


def test_detach_shares_values_and_stops_gradients() -> None:
    x = leaf()
    y = (x * 2).detach()
    assert not y.requires_grad
    np.sum(x * y).backward()
    assert x.grad.tolist() == [2, 4, 6]
    assert x.detach().data is x.data


# The caller's own arrays


def test_calls_do_not_lock_or_change_the_callers_arrays() -> None:
    mine, gradient = np.ones(3), np.ones(3)
    x = leaf()
    y = (x + mine) * mine
    np.concatenate([y, mine])
    (x + 0.0).backward(gradient=gradient)
    (+x).backward(gradient=gradient)
    assert mine.flags.writeable
    assert gradient.flags.writeable
    before = x.grad.tolist()
    gradient[...] = 99
    assert x.grad.tolist() == before


def test_a_gradient_handed_in_is_not_shared_with_the_callers_array() -> None:
    x, gradient = leaf(), np.ones(3)
    (x + 0.0).backward(gradient=gradient)
    assert gradient.flags.writeable
    gradient[...] = 99
    assert x.grad.tolist() == [1, 1, 1]
