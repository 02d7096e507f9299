"""Categorical and Multinomial against counting, sampling and the cross-entropy that they explain."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_edu as tg
from tinygrad_edu.data import one_hot
from tinygrad_edu.distributions import Categorical, Multinomial, likelihood, log_likelihood
from tinygrad_edu.nn.losses import softmax_cross_entropy
from tinygrad_edu.testing import check_gradient

DICE = np.full(6, 1 / 6)


@st.composite
def probabilities(draw, classes=None):
    k = classes or draw(st.integers(1, 4))
    weights = draw(hnp.arrays(float, k, elements=st.integers(0, 5).map(float)))
    weights[draw(st.integers(0, k - 1))] += 1
    return weights / weights.sum()


def outcomes(n, classes):
    """All counts of `classes` classes that sum to n."""
    return np.array([x for x in itertools.product(range(n + 1), repeat=classes) if sum(x) == n])


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# probabilities


def test_the_dice_of_the_course():
    die = Multinomial(5, probs=DICE)
    counts = np.bincount([3, 4, 3, 4, 4], minlength=7)[1:]
    expected = math.factorial(5) / (2 * 6) * (1 / 6) ** 2 * (1 / 6) ** 3
    assert die.coefficient(counts) == 10
    assert die.prob(counts) == pytest.approx(expected, rel=1e-14)
    sequences = itertools.product(range(6), repeat=5)  # counting all throws says the same
    hits = sum(np.array_equal(np.bincount(throw, minlength=6), counts) for throw in sequences)
    assert die.prob(counts) == pytest.approx(hits / 6**5, rel=1e-14)


@given(st.integers(0, 5), probabilities())
def test_probabilities_sum_to_one_and_give_the_moments(n, mu):
    distribution = Multinomial(n, probs=mu)
    x = outcomes(n, len(mu))
    p = distribution.prob(x)
    assert p.sum() == pytest.approx(1)
    mean = p @ x
    np.testing.assert_allclose(distribution.mean(), mean, atol=1e-12)
    np.testing.assert_allclose(distribution.variance(), p @ (x - mean) ** 2, atol=1e-12)
    covariance = np.einsum("i,ij,ik->jk", p, x - mean, x - mean)
    np.testing.assert_allclose(distribution.covariance(), covariance, atol=1e-12)
    surprise = -np.sum(p * np.log(np.where(p > 0, p, 1)))
    np.testing.assert_allclose(distribution.entropy(), surprise, atol=1e-12)


@given(hnp.arrays(float, (2, 3), elements=st.floats(-5, 5)), st.integers(0, 4))
def test_logits_and_probs_describe_the_same_distribution(logits, n):
    by_logits, by_probs = Multinomial(n, logits=logits), Multinomial(n, probs=softmax(logits))
    x = outcomes(n, 3)[:, None, :]
    np.testing.assert_allclose(by_logits.log_prob(x), by_probs.log_prob(x), atol=1e-12)
    np.testing.assert_allclose(by_logits.entropy(), by_probs.entropy(), atol=1e-12)
    np.testing.assert_allclose(by_logits.covariance(), by_probs.covariance(), atol=1e-12)
    assert by_logits.log_prob(x).shape == (len(x), 2)


def test_a_categorical_is_one_draw():
    mu = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(Categorical(probs=mu).prob(np.eye(3)), mu)
    assert Categorical(probs=mu).entropy() == pytest.approx(-np.sum(mu * np.log(mu)))


def test_zero_probabilities():
    model = Multinomial(2, probs=[0.0, 0.5, 0.5])
    assert model.log_prob([0, 1, 1]) == pytest.approx(math.log(0.5))
    assert model.log_prob([1, 1, 0]) == -np.inf
    assert model.prob([1, 1, 0]) == 0
    assert model.entropy() == pytest.approx(1.5 * math.log(2))
    certain = Multinomial(3, probs=[0.0, 1.0])
    assert certain.log_prob([0, 3]) == 0
    assert certain.entropy() == pytest.approx(0, abs=1e-12)
    assert not certain.variance().any()


def test_a_probability_of_zero_that_was_not_drawn_gets_no_gradient():
    mu = tg.Tensor([0.0, 0.25, 0.75], requires_grad=True)
    Multinomial(4, probs=mu).log_prob([0, 1, 3]).backward()
    np.testing.assert_array_equal(mu.grad.data, [0.0, 4.0, 4.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits_neither_overflow_nor_lose_the_gradient(dtype):
    z = tg.Tensor(np.array([[1000, -1000], [-1000, 1000]], dtype), requires_grad=True)
    y = np.array([[1, 0], [1, 0]])
    model = Categorical(logits=z)
    assert model.log_prob(y).dtype == dtype
    np.testing.assert_array_equal(model.log_prob(y).data, [0, -2000])
    np.testing.assert_array_equal(model.entropy().data, [0, 0])
    model.log_likelihood(y).backward()
    np.testing.assert_array_equal(z.grad.data, [[0, 0], [1, -1]])


def test_many_draws_stay_finite():
    n = 100_000
    model = Multinomial(n, probs=[0.25, 0.75])
    peak = model.prob([n // 4, 3 * n // 4])  # Stirling: 1 / sqrt(2 pi n p (1 - p))
    assert peak == pytest.approx(1 / math.sqrt(2 * math.pi * n * 3 / 16), rel=1e-5)
    assert model.coefficient([n // 4, 3 * n // 4]) == np.inf
    gauss = 0.5 * math.log(2 * math.pi * math.e * n * 3 / 16)
    assert model.entropy() == pytest.approx(gauss, abs=1e-5)
    single = Multinomial(n, probs=np.array([0.25, 0.75], np.float32)).entropy()
    assert single.dtype == np.float32
    assert single == pytest.approx(gauss, abs=1e-4)


@pytest.mark.parametrize("n", [1, 2])
def test_the_entropy_at_the_edge_of_the_simplex_has_a_finite_gradient(n):
    mu = tg.Tensor([0.0, 1.0, 0.0], requires_grad=True)
    entropy = Multinomial(n, probs=mu).entropy()
    assert entropy.item() == pytest.approx(0, abs=1e-14)
    entropy.backward()
    assert np.isfinite(mu.grad.data).all()


# gradients


@pytest.mark.parametrize("n", [1, 3])
def test_gradients_with_respect_to_probabilities_and_logits(n):
    x = outcomes(n, 3)
    z = np.random.default_rng(0).normal(size=3)
    check_gradient(lambda z: Multinomial(n, logits=z).log_prob(x), z)
    check_gradient(lambda z: Multinomial(n, logits=z).prob(x), z)
    check_gradient(lambda z: Multinomial(n, logits=z).entropy(), z)
    check_gradient(lambda z: Multinomial(n, logits=z).covariance(), z)

    def from_weights(w):  # probabilities must stay on the simplex while they are moved
        return Multinomial(n, probs=w / np.sum(w))

    w = np.array([0.5, 1.5, 2.0])
    check_gradient(lambda w: from_weights(w).log_prob(x), w)
    check_gradient(lambda w: from_weights(w).entropy(), w)
    check_gradient(lambda w: from_weights(w).mean() + from_weights(w).variance(), w)


@given(
    hnp.arrays(float, (4, 3), elements=st.floats(-30, 30)),
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
)
def test_the_negative_log_likelihood_of_labels_is_the_cross_entropy(logits, labels):
    y = one_hot(labels, 3).astype(float)
    z = tg.Tensor(logits, requires_grad=True)
    loss = -Categorical(logits=z).log_likelihood(y) / len(y)
    h = softmax(logits)
    shifted = logits - logits.max(1, keepdims=True)
    log_h = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    np.testing.assert_allclose(loss.data, -np.sum(y * log_h) / len(y), rtol=1e-12, atol=1e-12)
    loss.backward()
    np.testing.assert_allclose(z.grad.data, (h - y) / len(y), atol=1e-12)


def test_it_is_the_loss_that_networks_are_trained_with():
    rng = np.random.default_rng(0)
    y = one_hot(rng.integers(0, 5, 20), 5).astype(float)
    by_likelihood, by_loss = (
        tg.Tensor(np.random.default_rng(1).normal(size=(20, 5)) * 9, True) for _ in "ab"
    )
    mine = -Categorical(logits=by_likelihood).log_likelihood(y) / 20
    theirs = softmax_cross_entropy(by_loss, y)
    np.testing.assert_allclose(mine.data, theirs.data, rtol=1e-14)
    mine.backward()
    theirs.backward()
    np.testing.assert_allclose(by_likelihood.grad.data, by_loss.grad.data, atol=1e-15)


def test_likelihood_is_the_product_of_what_was_given_to_the_labels():
    h = tg.Tensor([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]], requires_grad=True)
    y = np.array([[1, 0, 0], [0, 0, 1]])
    assert likelihood(h, y).item() == pytest.approx(0.35)
    assert log_likelihood(h, y).item() == pytest.approx(math.log(0.35))
    likelihood(h, y).backward()
    np.testing.assert_allclose(h.grad.data, [[0.5, 0, 0], [0, 0, 0.7]])


# samples


def test_samples_follow_the_seed_and_the_probabilities():
    model = Multinomial(10, probs=tg.Tensor([0.1, 0.2, 0.7], dtype=np.float32))
    draws = model.sample(20_000, seed=3)
    assert draws.shape == (20_000, 3)
    np.testing.assert_array_equal(draws, model.sample(20_000, seed=3))
    assert (draws != model.sample(20_000, seed=4)).any()
    np.testing.assert_array_equal(draws.sum(1), np.full(20_000, 10))
    np.testing.assert_allclose(draws.mean(0), [1, 2, 7], atol=0.05)  # six standard errors at most
    np.testing.assert_allclose(draws.var(0), [0.9, 1.6, 2.1], rtol=0.06)
    rng = np.random.default_rng(3)
    np.testing.assert_array_equal(model.sample(20_000, rng), draws)
    assert (model.sample(20_000, rng) != draws).any()


def test_shapes_of_samples():
    batch = Categorical(logits=np.zeros((4, 3)))
    assert batch.sample(seed=0).shape == (4, 3)
    assert batch.sample((2, 5), seed=0).shape == (2, 5, 4, 3)
    assert Categorical(probs=[0.0, 1.0]).sample(3, seed=0).tolist() == [[0, 1]] * 3


# refusals


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Multinomial(2, probs=[0.5, 0.4]), r"must sum to 1 .* and sum to 0.9; .*logits="),
        (lambda: Multinomial(2, probs=[[0.5, 0.5], [1.0, 0.5]]), "sum to 1.5"),
        (lambda: Multinomial(2, probs=[1.5, -0.5]), "numbers from 0 up, and hold -0.5"),
        (lambda: Multinomial(2, probs=[np.nan, 1.0]), "hold nan"),
        (lambda: Multinomial(2, probs=0.5), r"has shape \(\)"),
        (lambda: Multinomial(2, probs=[]), r"has shape \(0,\)"),
        (lambda: Multinomial(2, logits=[0.0, -np.inf]), "logits must be finite"),
        (lambda: Multinomial(2), "give either probs="),
        (lambda: Multinomial(2, probs=[1.0], logits=[0.0]), "one of the two"),
        (lambda: Multinomial(-1, probs=[1.0]), "n is the number of draws.* is -1"),
        (lambda: Multinomial(2.0, probs=[1.0]), "is 2.0"),
        (lambda: Multinomial(True, probs=[1.0]), "is True"),
        (lambda: Multinomial(5, probs=DICE).prob([0, 0, 2, 2, 0, 0]), "sum to n = 5, and sum to 4"),
        (lambda: Multinomial(5, probs=DICE).prob([0, 0, 6, -1, 0, 0]), "whole numbers from 0 up"),
        (lambda: Multinomial(5, probs=DICE).prob([0, 0, 2.5, 2.5, 0, 0]), "whole numbers from 0 up"),
        (lambda: Multinomial(5, probs=DICE).prob([0, 0, np.nan, 5, 0, 0]), "whole numbers from 0 up"),
        (lambda: Multinomial(5, probs=DICE).prob([2, 3]), r"counts 6 classes .* has shape \(2,\)"),
        (lambda: Categorical(probs=DICE).prob(3), r"one_hot\(labels, 6\)"),
        (lambda: likelihood([[0.5, 0.5]], [[1, 1]]), "sum to n = 1, and sum to 2"),
        (lambda: log_likelihood([[0.5, 0.6]], [[1, 0]]), "sum to 1.1"),
    ],
)
def test_what_is_no_distribution_or_no_outcome_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_labels_that_want_a_gradient_are_refused():
    y = tg.Tensor([1.0, 0.0], requires_grad=True)
    with pytest.raises(TypeError, match="detach"):
        Categorical(probs=[0.5, 0.5]).prob(y)
    assert Categorical(probs=[0.5, 0.5]).prob(y.detach()) == 0.5


def test_probabilities_rounded_to_single_precision_are_accepted():
    rng = np.random.default_rng(0)
    h = softmax(rng.normal(size=(500, 10)).astype(np.float32))
    assert Categorical(probs=h).mean().dtype == np.float32


def test_it_prints_what_it_is():
    assert repr(Multinomial(2, probs=[0.5, 0.5])) == "Multinomial(n=2, mu=array([0.5, 0.5]))"
    assert repr(Categorical(probs=[0.5, 0.5])).startswith("Categorical(")
