"""Optimizers: several steps of each against its textbook formula, written out again here."""

import copy
import gc
import math
import pickle
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Tensor, nn
from tinygrad_edu.nn import optimizers, schedules
from tinygrad_edu.nn.optimizers import Optimizer

RNG = np.random.default_rng(0)
START = RNG.normal(size=(3, 2))
GRADIENTS = RNG.normal(size=(7, 3, 2))


def run(optimizer: Optimizer, dtype: Any = np.float64, gradients: Any = GRADIENTS) -> Any:
    param = Tensor(START, requires_grad=True, dtype=dtype)
    for gradient in gradients:
        param.grad = Tensor(gradient, dtype=dtype)
        optimizer.apply([param])
        assert param.grad is None
    assert param.dtype == dtype
    return param.data


# one element at a time, with a loop and Python numbers, straight from the papers
def sgd(w: float, gs: Any, rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False) -> float:
    v = 0.0
    for g in gs:
        v = momentum * v - rate * g
        w = w + momentum * v - rate * g if nesterov else w + v
    return w


def adagrad(w: float, gs: Any, rate: float = 0.001, s: float = 0.1, epsilon: float = 1e-7) -> float:
    for g in gs:
        s += g**2
        w -= rate * g / math.sqrt(s + epsilon)
    return w


def rmsprop(
    w: float,
    gs: Any,
    rate: float = 0.001,
    rho: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-7,
    centered: bool = False,
) -> float:
    s = mean = v = 0.0
    for g in gs:
        s = rho * s + (1 - rho) * g**2
        mean = rho * mean + (1 - rho) * g
        variance = s - mean**2 if centered else s
        v = momentum * v + rate * g / math.sqrt(variance + epsilon)
        w -= v
    return w


def adam(
    w: float,
    gs: Any,
    rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
) -> float:
    m = v = highest = 0.0
    for t, g in enumerate(gs, 1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        highest = max(highest, v)
        alpha = rate * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        w -= alpha * m / (math.sqrt(highest if amsgrad else v) + epsilon)
    return w


CASES: list[tuple[Any, Any, dict[str, Any]]] = [
    (nn.SGD, sgd, {}),
    (nn.SGD, sgd, {"momentum": 0.9}),
    (nn.SGD, sgd, {"momentum": 0.9, "nesterov": True}),
    (nn.Adagrad, adagrad, {}),
    (nn.Adagrad, adagrad, {"epsilon": 0.01}),
    (nn.RMSprop, rmsprop, {}),
    (nn.RMSprop, rmsprop, {"rho": 0.5, "momentum": 0.8, "epsilon": 0.01}),
    (nn.RMSprop, rmsprop, {"centered": True}),
    (nn.RMSprop, rmsprop, {"centered": True, "momentum": 0.5, "epsilon": 0.1}),
    (nn.Adam, adam, {}),
    (nn.Adam, adam, {"beta_1": 0.5, "beta_2": 0.6, "epsilon": 0.01}),
    (nn.Adam, adam, {"amsgrad": True, "beta_2": 0.5}),
]


@pytest.mark.parametrize(("optimizer", "textbook", "options"), CASES)
def test_textbook(optimizer: Any, textbook: Any, options: dict[str, Any]) -> None:
    expected = np.vectorize(lambda i, j: textbook(START[i, j], GRADIENTS[:, i, j], **options))(
        *np.indices(START.shape)
    )
    np.testing.assert_allclose(run(optimizer(**options)), expected, rtol=1e-12)
    np.testing.assert_allclose(run(optimizer(**options), np.float32), expected, rtol=2e-5)


@pytest.mark.parametrize(("optimizer", "textbook", "options"), CASES)
def test_rule_runs_on_tensors_too(optimizer: Any, textbook: Any, options: dict[str, Any]) -> None:
    made = optimizer(**options)
    param, state = START, tuple(np.full_like(START, value) for value in made.start)
    as_tensors = Tensor(param, requires_grad=True), tuple(Tensor(part) for part in state)
    for step, gradient in enumerate(GRADIENTS, 1):
        param, state = made.rule(param, gradient, state, 0.1, step)
        as_tensors = made.rule(as_tensors[0], Tensor(gradient), as_tensors[1], 0.1, step)
    np.testing.assert_array_equal(as_tensors[0].data, param)
    assert as_tensors[0].requires_grad


def test_accumulator_of_adagrad_starts_where_asked() -> None:
    one = run(nn.Adagrad(1.0, initial_accumulator_value=0.5), gradients=GRADIENTS[:1])
    np.testing.assert_allclose(one, START - GRADIENTS[0] / np.sqrt(0.5 + GRADIENTS[0] ** 2 + 1e-7))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"clipvalue": 0.3}, np.clip(GRADIENTS[0], -0.3, 0.3)),
        ({"clipnorm": 0.3}, GRADIENTS[0] * 0.3 / np.linalg.norm(GRADIENTS[0])),
        ({"clipnorm": 100.0}, GRADIENTS[0]),
        ({"global_clipnorm": 0.3}, GRADIENTS[0] * 0.3 / np.linalg.norm(np.append(GRADIENTS[0], [3.0, 4.0]))),
        ({"weight_decay": 0.2}, GRADIENTS[0] + 0.2 * START),
    ],
)
def test_clipping_and_decay(options: dict[str, float], expected: Any) -> None:
    param, other = Tensor(START, requires_grad=True), Tensor([0.0, 0.0], requires_grad=True)
    param.grad, other.grad = Tensor(GRADIENTS[0]), Tensor([3.0, 4.0])
    idle = Tensor([1.0], requires_grad=True)
    nn.SGD(0.1, **options).apply([param, other, idle])
    np.testing.assert_allclose(param.data, START - 0.1 * expected, rtol=1e-12)
    assert idle.tolist() == [1.0]


# What surrounds the rule -----------------------------------------------------------------------------------


def test_learning_rate_is_live_and_has_two_names() -> None:
    optimizer = nn.SGD(lr=0.5)
    assert optimizer.learning_rate == optimizer.lr == 0.5
    w = Tensor([1.0], requires_grad=True)
    for rate, expected in ((0.5, 0.5), (0.25, 0.25)):
        optimizer.lr = rate
        w.grad = Tensor([1.0])
        optimizer.apply([w])
        assert w.tolist() == [expected]
    with pytest.raises(ValueError, match="lr is another name for learning_rate"):
        nn.SGD(0.1, lr=0.1)
    for wrong in (-0.1, "fast", math.nan, None):
        with pytest.raises(ValueError, match="learning_rate must be a number from 0 up, or a schedule"):
            optimizer.learning_rate = wrong  # type: ignore[assignment]


def test_momentum_is_live() -> None:
    optimizer = nn.SGD(0.1)
    w = Tensor([1.0], requires_grad=True)
    for momentum in (0.0, 0.9, 0.9):
        optimizer.momentum = momentum
        w.grad = Tensor([1.0])
        optimizer.apply([w])
    np.testing.assert_allclose(w.data, [1 - 0.1 - 0.1 - 0.19])


def test_schedule_is_called_with_the_steps_taken() -> None:
    seen: list[int] = []

    def rate(step: int) -> float:
        seen.append(step)
        return 0.1 / (1 + step)

    np.testing.assert_allclose(
        run(nn.SGD(rate)), START - sum(0.1 / (1 + i) * g for i, g in enumerate(GRADIENTS))
    )
    assert seen == list(range(7))


def test_formulas_of_schedules() -> None:
    assert schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True)(19) == 0.05
    assert schedules.ExponentialDecay(0.1, 10, 0.5)(5) == pytest.approx(0.1 * math.sqrt(0.5))
    assert schedules.InverseTimeDecay(0.1, 10, 0.5, staircase=True)(19) == pytest.approx(0.1 / 1.5)
    assert schedules.CosineDecay(0.1, 10, alpha=0.2)(0) == pytest.approx(0.1)
    assert schedules.CosineDecay(0.1, 10, alpha=0.2)(99) == pytest.approx(0.02)
    with pytest.raises(ValueError, match="part 2 values, not 3"):
        schedules.PiecewiseConstantDecay([1], [1, 2, 3])


def test_parameters_without_gradient_are_left_alone() -> None:
    w, idle = Tensor([1.0], requires_grad=True), Tensor([5.0], requires_grad=True)
    optimizer = nn.Adam()
    w.grad = Tensor([1.0])
    optimizer.apply([w, idle])
    assert idle.tolist() == [5.0]
    with pytest.raises(RuntimeError, match=r"none of the parameters has a gradient; call loss.backward\(\)"):
        optimizer.apply([w, idle])
    assert optimizer.iterations == 1


def test_a_parameter_frozen_after_backward_stays_and_is_not_clipped_with() -> None:
    w, frozen = Tensor([1.0], requires_grad=True), Tensor([5.0], requires_grad=True)
    w.grad, frozen.grad = Tensor([3.0]), Tensor([4.0])
    frozen.requires_grad = False
    nn.SGD(1.0, global_clipnorm=3.0).apply([w, frozen])
    assert (w.tolist(), frozen.tolist()) == ([-2.0], [5.0])
    with pytest.raises(RuntimeError, match="are not frozen"):
        nn.SGD().apply([frozen])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Tensor([1.0, 2.0], requires_grad=True), r"a single Tensor w; write apply\(\[w\]\)"),
        (nn.Dense(1, input_dim=1), r"got a Dense; write apply\(model.parameters\)"),
        ([np.ones(2)], "moves Tensors, and got a ndarray"),
        (np.ones(2), "moves Tensors, and got a float64"),
    ],
)
def test_parameters_come_in_a_list_of_tensors(wrong: Any, words: str) -> None:
    for method in (nn.SGD(0.1).apply, nn.SGD(0.1).state_dict):
        with pytest.raises(TypeError, match=words):
            method(wrong)


def test_a_parameter_named_twice_moves_once() -> None:
    w = Tensor([1.0], requires_grad=True)
    w.grad = Tensor([1.0])
    nn.SGD(0.5).apply([w, w])
    assert w.tolist() == [0.5]


def test_memory_follows_the_parameter_and_ends_with_it() -> None:
    optimizer = nn.SGD(0.1, momentum=0.9)
    first, second = Tensor([0.0], requires_grad=True), Tensor([0.0], requires_grad=True)
    for order in ([first, second], [second, first]):
        first.grad, second.grad = Tensor([1.0]), Tensor([10.0])
        optimizer.apply(order)
    np.testing.assert_allclose([first.data[0], second.data[0]], [-0.29, -2.9])
    assert len(optimizer._memories) == 2
    del first, second, order
    gc.collect()
    assert not optimizer._memories


def test_a_new_parameter_starts_from_its_own_first_step() -> None:
    optimizer = nn.Adam(0.1)
    run(optimizer)
    np.testing.assert_allclose(run(optimizer), run(nn.Adam(0.1)), rtol=1e-15)


def test_training_goes_on_from_saved_state() -> None:
    for made in (nn.Adam(0.1), nn.SGD(0.1, momentum=0.9), nn.SGD(0.1), nn.RMSprop(centered=True)):
        w = Tensor(START, requires_grad=True)
        resumed = copy.deepcopy(w)
        other = type(made)(0.1, **({"momentum": 0.9} if getattr(made, "momentum", 0) else {}))
        if isinstance(other, nn.RMSprop):
            other.learning_rate, other.centered = made.learning_rate, True
        for i, gradient in enumerate(GRADIENTS):
            if i == 3:
                resumed.assign(w)
                other.load_state_dict(made.state_dict([w]), [resumed])
                assert other.iterations == 3
            for param, optimizer in ((w, made), (resumed, other)):
                if i >= 3 or param is w:
                    param.grad = Tensor(gradient)
                    optimizer.apply([param])
        np.testing.assert_array_equal(w.data, resumed.data)
    with pytest.raises(ValueError, match="states of 1 parameters, and 2 were given"):
        made.load_state_dict(made.state_dict([w]), [w, resumed])
    with pytest.raises(ValueError, match=r"shape \(3, 2\) does not fit one of \(1,\)"):
        made.load_state_dict(made.state_dict([w]), [Tensor([0.0], requires_grad=True)])


def test_an_optimizer_of_ones_own_in_five_lines() -> None:
    class Momentum(Optimizer):
        start = (0.0,)

        def rule(self, param: Any, grad: Any, state: Any, learning_rate: Any, step: Any) -> Any:
            velocity = 0.9 * state[0] - learning_rate * grad
            return param + velocity, (velocity,)

    np.testing.assert_allclose(run(Momentum(0.01)), run(nn.SGD(0.01, momentum=0.9)), rtol=1e-15)


def test_a_rule_may_not_write_into_the_parameter() -> None:
    class InPlace(Optimizer):
        def rule(self, param: Any, grad: Any, state: Any, learning_rate: Any, step: Any) -> Any:
            param -= learning_rate * grad
            return param, state

    with pytest.raises(ValueError, match="read-only"):
        run(InPlace(0.1))
    with pytest.raises(NotImplementedError, match="Optimizer needs a method rule"):
        run(Optimizer(0.1))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda moved: moved, "it returned ndarray"),
        (lambda moved: None, "it returned NoneType"),
        (lambda moved: (moved, moved), r"it returned \(ndarray, ndarray\)"),
        (lambda moved: (moved, (), 3), r"it returned \(ndarray, tuple, int\)"),
    ],
)
def test_a_rule_returns_the_parameter_and_its_state(result: Any, words: str) -> None:
    class Forgetful(Optimizer):
        def rule(self, param: Any, grad: Any, state: Any, learning_rate: Any, step: Any) -> Any:
            return result(param - learning_rate * grad)

    w = Tensor([1.0, 2.0], requires_grad=True)
    w.grad = Tensor([1.0, 1.0])
    with pytest.raises(TypeError, match="rule of Forgetful must return two things.*" + words):
        Forgetful(0.1).apply([w])
    assert w.tolist() == [1.0, 2.0]


def test_a_copied_optimizer_remembers_and_goes_its_own_way() -> None:
    w = Tensor([0.0], requires_grad=True)
    optimizer = nn.SGD(0.1, momentum=0.9)
    w.grad = Tensor([1.0])
    optimizer.apply([w])
    twin, alone = copy.copy(optimizer), copy.deepcopy(optimizer)
    assert twin.state_dict([w]) == optimizer.state_dict([w]) != alone.state_dict([w])
    w.grad = Tensor([1.0])
    twin.apply([w])
    np.testing.assert_allclose(w.data, [-0.29])
    assert (twin.iterations, optimizer.iterations, optimizer.state_dict([w])["states"][0][0]) == (2, 1, 1)
    assert not alone._memories
    assert pickle.loads(pickle.dumps(optimizer)).iterations == 1
    del w
    gc.collect()
    assert not twin._memories
    assert not optimizer._memories


def test_names_and_mistakes() -> None:
    assert isinstance(optimizers.get("Adam"), nn.Adam)
    assert optimizers.get("sgd") is not optimizers.get("sgd")
    with pytest.raises(ValueError, match="no optimizer 'adm'; did you mean 'adam'"):
        optimizers.get("adm")
    with pytest.raises(TypeError, match=r"got the class; write SGD\(\)"):
        optimizers.get(nn.SGD)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="needs a name or an Optimizer"):
        optimizers.get(0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"one way at a time, and clipnorm=1.0, clipvalue=2.0 were given"):
        nn.SGD(clipnorm=1.0, clipvalue=2.0)
    with pytest.raises(ValueError, match=r"weight_decay must be a number from 0 up, and is -1.0"):
        nn.SGD(weight_decay=-1.0)
    with pytest.raises(ValueError, match="momentum must be a number between 0 and 1, and is 9"):
        nn.SGD(momentum=9)


@pytest.mark.parametrize("name", ["momentum", "learning_rate", "weight_decay", "clipnorm"])
@pytest.mark.parametrize("value", ["0.9", [0.9, 0.1], math.nan])
def test_what_is_no_number_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a number .* and is "):
        nn.SGD(**{"learning_rate": 0.1, name: value})


@pytest.mark.parametrize(
    "optimizer",
    [
        nn.SGD(
            np.float64(0.1), momentum=np.float64(0.9), weight_decay=np.float64(0.1), clipnorm=np.float64(1)
        ),
        nn.RMSprop(rho=np.float64(0.9), momentum=np.float64(0.9), epsilon=np.float64(1e-7)),
        nn.Adam(beta_1=np.float64(0.9), beta_2=np.float64(0.99), epsilon=np.float64(1e-7)),
        nn.Adagrad(initial_accumulator_value=np.float64(0.1), epsilon=np.float64(1e-7)),
    ],
)
def test_numbers_of_numpy_leave_the_state_in_float32(optimizer: Optimizer) -> None:
    w = Tensor(np.ones(2, np.float32), requires_grad=True)
    for _ in range(2):
        w.grad = Tensor(np.ones(2, np.float32))
        optimizer.apply([w])
    (_, state), *_ = optimizer.state_dict([w])["states"]
    assert {part.dtype for part in (w, *state)} == {np.dtype(np.float32)}


def test_defaults_are_keras_3s() -> None:
    assert [made().learning_rate for made in (nn.SGD, nn.Adagrad, nn.RMSprop, nn.Adam)] == [
        0.01,
        0.001,
        0.001,
        0.001,
    ]
    assert {made().epsilon for made in (nn.Adagrad, nn.RMSprop, nn.Adam)} == {1e-7}


def test_a_step_without_a_gradient_is_not_counted_for_a_parameter() -> None:
    both, alone = (Tensor(np.ones(2), requires_grad=True) for _ in range(2))
    other = Tensor(np.ones(2), requires_grad=True)
    first, second = optimizers.Adam(0.1), optimizers.Adam(0.1)
    for with_it in (True, False, False, True):
        if with_it:
            np.sum(np.square(both) + np.square(other)).backward()
            np.sum(np.square(alone)).backward()
            second.apply([alone])
        else:
            np.sum(np.square(other)).backward()
        first.apply([both, other])
    assert (first.iterations, second.iterations) == (4, 2)
    np.testing.assert_array_equal(
        both.data, alone.data
    )  # whose bias corrections are those of the second step
