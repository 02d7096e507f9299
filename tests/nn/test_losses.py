"""Losses: the slides' formulas, (softmax(z) - y) / N, and labels that are refused rather than misread."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import NoGradientRule, Tensor, nn, no_grad
from tinygrad_edu.nn import losses
from tinygrad_edu.testing import check_gradient
from tinygrad_edu.testing.strategies import arrays

RNG = np.random.default_rng(0)
N, K = 6, 4
LOGITS = RNG.normal(size=(N, K))
INTEGERS = RNG.integers(0, K, N)
ONE_HOT = np.eye(K)[INTEGERS]
SOFT = RNG.dirichlet(np.ones(K), N)


def probabilities(z: Any) -> Any:
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


@pytest.mark.parametrize("labels", [ONE_HOT, SOFT, ONE_HOT.astype(bool), ONE_HOT.astype(int), INTEGERS])
def test_softmax_cross_entropy_is_the_slides_formula_and_gradient(labels: Any) -> None:
    y = labels if labels.ndim == 2 else ONE_HOT
    z = Tensor(LOGITS, requires_grad=True)
    loss = nn.softmax_cross_entropy(z, labels)
    loss.backward()
    np.testing.assert_allclose(loss.data, -np.sum(y * np.log(probabilities(LOGITS))) / N, rtol=1e-13)
    np.testing.assert_allclose(z.grad.data, (probabilities(LOGITS) - y) / N, rtol=1e-12, atol=1e-16)
    assert loss.node.name == "softmax_cross_entropy"


@given(z=arrays(st.sampled_from([(3, 4), (1, 2), (5,), (2, 3, 4)])), seed=st.integers(0, 99))
def test_softmax_cross_entropy_to_the_second_order(z: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    soft = rng.dirichlet(np.ones(z.shape[-1]), z.shape[:-1] or None)
    check_gradient(lambda z: nn.softmax_cross_entropy(z, soft), z)
    integers = rng.integers(0, z.shape[-1], z.shape[:-1])
    check_gradient(lambda z: nn.softmax_cross_entropy(z, integers), z)


def test_hessian_of_softmax_cross_entropy_is_diag_p_minus_pp() -> None:
    z = Tensor(LOGITS[0], requires_grad=True)
    nn.softmax_cross_entropy(z, ONE_HOT[0]).backward(create_graph=True)
    first, z.grad = z.grad, None
    direction = RNG.normal(size=K)
    np.sum(first * direction).backward()
    p = probabilities(LOGITS[0])
    np.testing.assert_allclose(z.grad.data, (np.diag(p) - np.outer(p, p)) @ direction, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("labels", [np.array([0, 1, 2]), np.eye(3)])
def test_huge_logits_stay_finite(dtype: Any, labels: Any) -> None:
    z = Tensor(np.array([[1000, -1000, 0], [1000, -1000, 0], [0, 0, 0]], dtype), requires_grad=True)
    loss = nn.softmax_cross_entropy(z, labels)
    loss.backward()
    np.testing.assert_allclose(float(loss), (0 + 2000 + np.log(3)) / 3, rtol=1e-6)
    np.testing.assert_allclose(z.grad.data[:2], np.array([[0, 0, 0], [1, -1, 0]]) / 3, atol=1e-7)
    assert z.grad.dtype == dtype


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        (np.ones((N, K)), ValueError, r"must sum to 1.*sum to 4 on average"),
        (np.full(N, K), ValueError, r"labels for 4 classes must be 0 to 3, and these go from 4 to 4"),
        (np.full(N, -1), ValueError, r"go from -1 to -1"),
        (np.zeros(N), TypeError, r"must be integers, and are float64; write labels.astype\(int\)"),
        (np.zeros((N, K + 1)), ValueError, r"\(6, 4\) need labels of the same shape .* got \(6, 5\)"),
        (np.zeros((N, 1), int), ValueError, r"got \(6, 1\)"),
    ],
)
def test_softmax_cross_entropy_refuses_other_labels(labels: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        nn.softmax_cross_entropy(Tensor(LOGITS, requires_grad=True), labels)


@pytest.mark.parametrize("loss", [nn.softmax_cross_entropy, nn.sigmoid_cross_entropy])
def test_labels_that_need_a_gradient_are_refused(loss: Any) -> None:
    labels = Tensor(SOFT, requires_grad=True)
    with pytest.raises(NoGradientRule, match="swap the two if the logits came second"):
        loss(LOGITS, labels).backward()
    loss(Tensor(LOGITS, requires_grad=True), labels.detach()).backward()


# Keras's names ---------------------------------------------------------------------------------------------

P = np.array([[0.9, 0.2], [0.4, 0.6]])
Y = np.array([[1.0, 0.0], [1.0, 1.0]])
FORMULAS = {
    "mean_squared_error": ((0.1**2 + 0.2**2 + 0.6**2 + 0.4**2) / 4, (P - Y) * 2 / 4),
    "mean_absolute_error": ((0.1 + 0.2 + 0.6 + 0.4) / 4, np.sign(P - Y) / 4),
    "binary_crossentropy": (
        -(np.log(0.9) + np.log(0.8) + np.log(0.4) + np.log(0.6)) / 4,
        (-Y / P + (1 - Y) / (1 - P)) / 4,
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formula_and_gradient(name: str) -> None:
    value, gradient = FORMULAS[name]
    p = Tensor(P, requires_grad=True)
    loss = losses.get(name)(Y, p)
    loss.backward()
    np.testing.assert_allclose(loss.data, value, rtol=1e-13)
    np.testing.assert_allclose(p.grad.data, gradient, rtol=1e-12)
    check_gradient(lambda p: losses.get(name)(Y, p), P)


def test_categorical_crossentropy_of_probabilities() -> None:
    p = Tensor(SOFT, requires_grad=True)
    loss = nn.categorical_crossentropy(ONE_HOT, p)
    loss.backward()
    np.testing.assert_allclose(loss.data, -np.sum(ONE_HOT * np.log(SOFT)) / N, rtol=1e-13)
    np.testing.assert_allclose(p.grad.data, -ONE_HOT / SOFT / N, rtol=1e-12)
    check_gradient(lambda p: nn.categorical_crossentropy(ONE_HOT, p / p.sum(-1, keepdims=True)), SOFT + 0.4)
    sparse = nn.sparse_categorical_crossentropy(INTEGERS, SOFT)
    assert sparse == nn.sparse_categorical_crossentropy(INTEGERS[:, None], SOFT)
    np.testing.assert_allclose(sparse, loss.data, rtol=1e-13)


@pytest.mark.parametrize(
    ("loss", "labels"),
    [(nn.categorical_crossentropy, ONE_HOT), (nn.sparse_categorical_crossentropy, INTEGERS)],
)
def test_losses_go_back_to_the_logits_behind_a_softmax(loss: Any, labels: Any) -> None:
    z = Tensor(LOGITS * 1000, requires_grad=True)
    value = loss(labels, nn.softmax(z))
    assert value.node.name == "softmax_cross_entropy"
    assert value.node.args[0] is z
    assert value.data == nn.softmax_cross_entropy(LOGITS * 1000, ONE_HOT)
    assert loss(labels, Tensor(LOGITS, requires_grad=True), from_logits=True).node.name == value.node.name


def test_binary_crossentropy_goes_back_to_the_logits_behind_a_sigmoid() -> None:
    z = Tensor([[1000.0, -1000.0], [2.0, 0.0]], requires_grad=True)
    loss = nn.binary_crossentropy(np.array([[0.0, 0.0], [1.0, 1.0]]), nn.sigmoid(z))
    loss.backward()
    assert loss.node.name == "sigmoid_cross_entropy"
    np.testing.assert_allclose(loss.data, (1000 + np.log1p(np.exp(-2.0)) + np.log(2)) / 4, rtol=1e-13)
    np.testing.assert_allclose(z.grad.data, [[0.25, 0], [(1 / (1 + np.exp(-2)) - 1) / 4, -0.125]], rtol=1e-12)
    check_gradient(lambda z: nn.sigmoid_cross_entropy(z, Y), P)


def test_a_gradient_asked_for_at_the_softmax_is_not_skipped() -> None:
    z = Tensor(LOGITS, requires_grad=True)
    p = nn.softmax(z).retain_grad()
    nn.categorical_crossentropy(ONE_HOT, p).backward()
    np.testing.assert_allclose(p.grad.data, -ONE_HOT / probabilities(LOGITS) / N, rtol=1e-12)
    np.testing.assert_allclose(z.grad.data, (probabilities(LOGITS) - ONE_HOT) / N, rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_probability_of_zero_counts_as_the_smallest_number(dtype: Any) -> None:
    label, wrong = np.array([[0, 1]]), np.array([[1, 0]], dtype)
    for loss, labels in ((nn.categorical_crossentropy, label), (nn.sparse_categorical_crossentropy, [1])):
        np.testing.assert_allclose(loss(labels, wrong), -np.log(np.finfo(dtype).tiny), rtol=1e-3)
        assert loss(labels, np.array([[1, 0]])) == -np.log(np.finfo(float).tiny)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_value_does_not_depend_on_recording(dtype: Any) -> None:
    z, label = (
        Tensor(np.array([[0, 30], [1, 2]], dtype), requires_grad=True),
        np.array([[1, 0], [1, 0]], dtype),
    )
    for loss, labels in ((nn.categorical_crossentropy, label), (nn.sparse_categorical_crossentropy, [0, 0])):
        recorded = loss(labels, nn.softmax(z)).data
        with no_grad():
            np.testing.assert_allclose(loss(labels, nn.softmax(z)), recorded, rtol=1e-6)
        np.testing.assert_allclose(loss(labels, nn.softmax(z.data)), recorded, rtol=1e-6)


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (LOGITS, "a row of these predictions"),
        (
            SOFT * 1.01,
            r"sums to 1.01; end the model with a softmax, or, if they are logits, use softmax_cross",
        ),
        (SOFT + np.array([-2, 2, 0, 0]), "holds -1"),
    ],
)
def test_predictions_that_are_not_probabilities_are_refused(p: Any, words: str) -> None:
    for y_pred in (p, Tensor(p), Tensor(p, requires_grad=True)):
        with pytest.raises(ValueError, match=words):
            nn.categorical_crossentropy(ONE_HOT, y_pred)
        with pytest.raises(ValueError, match=words):
            nn.sparse_categorical_crossentropy(INTEGERS, y_pred)


def test_swapped_arguments_are_refused() -> None:
    p = nn.softmax(Tensor(LOGITS, requires_grad=True))
    with pytest.raises(NoGradientRule, match=r"swapped\? Write categorical_crossentropy\(y_true, y_pred\)"):
        nn.categorical_crossentropy(p, ONE_HOT)
    with pytest.raises(NoGradientRule, match=r"swapped\? Write sparse_categorical_crossentropy"):
        nn.sparse_categorical_crossentropy(p, INTEGERS)


def test_losses_of_logits_refuse_what_is_no_logit() -> None:
    z = Tensor(LOGITS, requires_grad=True)
    with pytest.raises(
        ValueError, match='come out of a softmax already; use loss="categorical_crossentropy"'
    ):
        losses.get("softmax_cross_entropy")(ONE_HOT, nn.softmax(z))
    with pytest.raises(ValueError, match='come out of a sigmoid already; use loss="binary_crossentropy"'):
        losses.get(nn.sigmoid_cross_entropy)(ONE_HOT, nn.sigmoid(z))
    assert losses.get("softmax_cross_entropy")(ONE_HOT, z).node.name == "softmax_cross_entropy"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_probability_of_a_yes_counts_as_the_nearest_one_that_has_a_loss(dtype: Any) -> None:
    limits = np.finfo(dtype)
    for label, p, loss, slope in (
        (1, 0, -np.log(limits.tiny), -1 / limits.tiny),
        (0, 1, -np.log(limits.epsneg), 1 / limits.epsneg),
    ):
        wrong = Tensor(np.array([p], dtype), requires_grad=True)
        value = nn.binary_crossentropy(np.array([label], dtype), wrong)
        value.backward()
        np.testing.assert_allclose(value.data, loss, rtol=2e-3)
        np.testing.assert_allclose(wrong.grad.data, [slope], rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred", "words"),
    [
        (
            "categorical_crossentropy",
            INTEGERS,
            SOFT,
            "use sparse_categorical_crossentropy",
        ),
        ("categorical_crossentropy", ONE_HOT[:, :2], SOFT, r"predictions' shape \(6, 4\), and got \(6, 2\)"),
        ("sparse_categorical_crossentropy", ONE_HOT, SOFT, "for one-hot labels use categorical_crossentropy"),
        ("sparse_categorical_crossentropy", INTEGERS + K, SOFT, "labels for 4 classes must be 0 to 3"),
        ("mse", np.ones(3), np.ones((3, 3)), r"labels of shape \(3,\) for predictions of shape \(3, 3\)"),
        ("mae", np.ones((2, 3)), np.ones((3, 2)), r"\(2, 3\) for predictions of shape \(3, 2\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(loss: str, y_true: Any, y_pred: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        losses.get(loss)(y_true, y_pred)


def test_labels_of_shape_n_fit_predictions_of_shape_n_1() -> None:
    assert nn.mean_squared_error(np.array([1.0, 2.0]), np.array([[1.0], [4.0]])) == 2.0
    assert nn.mean_squared_error(np.array([[1.0], [2.0]]), np.array([1.0, 4.0])) == 2.0


def test_names() -> None:
    assert losses.get("mse") is losses.get("MSE") is nn.mean_squared_error
    assert losses.get("mae") is nn.mean_absolute_error
    by_name, by_function = losses.get("softmax_cross_entropy"), losses.get(nn.softmax_cross_entropy)
    assert (
        by_name(ONE_HOT, LOGITS) == by_function(ONE_HOT, LOGITS) == nn.softmax_cross_entropy(LOGITS, ONE_HOT)
    )
    with pytest.raises(ValueError, match="did you mean 'categorical_crossentropy'"):
        losses.get("categorical_crossentropi")


def test_float32_stays_float32() -> None:
    z = Tensor(LOGITS.astype(np.float32), requires_grad=True)
    for labels in (ONE_HOT.astype(np.float32), INTEGERS, ONE_HOT.astype(bool)):
        assert nn.softmax_cross_entropy(z, labels).dtype == np.float32


def test_training_on_and_on_keeps_no_memory() -> None:
    w = Tensor(np.zeros((K, K)), requires_grad=True)
    optimizer = nn.SGD(0.1)

    def steps(n: int) -> None:
        for _ in range(n):
            nn.categorical_crossentropy(ONE_HOT, nn.softmax(LOGITS @ w)).backward()
            optimizer.apply([w])

    steps(20)
    tracemalloc.start()
    steps(5)
    before = tracemalloc.get_traced_memory()[0]
    steps(100)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 5_000
