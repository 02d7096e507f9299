"""Categorical and multinomial distributions: where the cross-entropy comes from.

The one idea: a classifier's outputs are the parameters μ of a distribution over the classes, a label is one
draw from it, and the loss is minus the logarithm of the probability that the model gave to the labels.

An outcome x says how often each of K classes came: counts that sum to n. A label is the case n = 1, a one-hot
vector (the 1-of-K scheme). Symbols as in Bishop, Pattern Recognition and Machine Learning, section 2.2.
"""

import math
from typing import Any

import numpy as np

from .rules import is_differentiable
from .tensor import Tensor

_log_factorial = np.vectorize(lambda k: math.lgamma(k + 1), otypes=[float])


class Multinomial:
    """How often each of K classes comes in n independent draws; class k has probability μ_k.

    Args:
        n: the number of draws.
        probs: the probabilities μ, of shape (..., K), each from 0 to 1, that sum to 1 over the last axis. A
            Tensor makes every result differentiable with respect to it.
        logits: the same as unnormalised logarithms, μ = softmax(logits). Give one of the two.

    Raises:
        ValueError: both or neither are given, probabilities are negative or do not sum to 1, logits are not
            finite, or n is no number of draws.

    Source: Bishop, Pattern Recognition and Machine Learning, section 2.2, equation 2.34.

    A die is thrown five times and shows two threes and three fours, in any order; then in one given order:

    >>> die = Multinomial(n=5, probs=np.full(6, 1 / 6))
    >>> counts = [0, 0, 2, 3, 0, 0]
    >>> float(die.coefficient(counts)), float(die.prob(counts).round(6))
    (10.0, 0.001286)
    >>> bool(np.isclose(die.prob(counts), 10 * (1 / 6) ** 2 * (1 / 6) ** 3))
    True
    """

    def __init__(self, n: int, probs: Any = None, logits: Any = None):
        if isinstance(n, (bool, np.bool_)) or not isinstance(n, (int, np.integer)) or n < 0:
            raise ValueError(f"n is the number of draws, an integer from 0 up, and is {n!r} here")
        if (probs is None) == (logits is None):
            raise ValueError(
                "give either probs= (that sum to 1) or logits= (any finite numbers), one of the two"
            )
        self.n = int(n)
        self.log_mu = None if logits is None else _log_softmax(_checked_logits(logits))
        self.mu = _checked_probs(probs) if self.log_mu is None else np.exp(self.log_mu)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n={self.n}, mu={self.mu!r})"

    def coefficient(self, x: Any) -> Any:
        """Return in how many orders the counts can come: n! / (x_1! x_2! ... x_K!).

        Exact up to 2^40; infinity where the number is too large for a float.

        Raises:
            ValueError: `counts` are not whole numbers, one for each class, that sum to n.

        >>> Multinomial(4, probs=[0.5, 0.5]).coefficient([2, 2])
        array(6.)
        """
        with np.errstate(over="ignore"):
            exact = np.exp(self._log_coefficient(self._counts(x)))
        return np.asarray(np.where(exact < 2**40, np.round(exact), exact))

    def log_prob(self, x: Any) -> Any:
        """Return log p(x | μ): the log-probability of the counts, in any order.

        Where a class has probability 0 and was not drawn, it adds nothing; where it was, the result is -inf.

        Args:
            x: counts of shape (..., K) that sum to n over the last axis.

        Raises:
            TypeError: x is a Tensor that needs a gradient; counts are data.
            ValueError: counts that are negative or not whole, do not sum to n, or are not K.

        >>> Multinomial(2, probs=[0.5, 0.5, 0.0]).log_prob([[1, 1, 0], [1, 0, 1]])
        array([-0.69314718,        -inf])
        """
        counts = self._counts(x)
        logs = _times_log(counts, self.mu) if self.log_mu is None else counts * self.log_mu
        total = np.sum(logs, axis=-1)
        return total if self.n == 1 else total + self._log_coefficient(counts).astype(total.dtype)

    def prob(self, x: Any) -> Any:
        """Return p(x | μ): the probability of the counts, in any order.

        >>> float(Multinomial(2, probs=[0.5, 0.5]).prob([1, 1]).round(12))
        0.5
        """
        return np.exp(self.log_prob(x))

    def log_likelihood(self, x: Any) -> Any:
        """Return the log-probability of all observations together: `log_prob` summed over them.

        For one-hot labels, minus this divided by their number is the cross-entropy, and so is its gradient:

        >>> logits = Tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]], requires_grad=True)
        >>> labels = np.array([[1, 0, 0], [0, 0, 1]])
        >>> model = Categorical(logits=logits)
        >>> loss = -model.log_likelihood(labels) / 2
        >>> h = np.exp(logits.data) / np.sum(np.exp(logits.data), axis=1, keepdims=True)
        >>> bool(np.isclose(loss.data, -np.sum(labels * np.log(h)) / 2))
        True
        >>> loss.backward()
        >>> np.allclose(logits.grad.data, (h - labels) / 2)
        True
        """
        return np.sum(self.log_prob(x))

    def mean(self) -> Any:
        """Return the expected counts, n μ.

        >>> Multinomial(10, probs=[0.2, 0.8]).mean()
        array([2., 8.])
        """
        return self.n * self.mu

    def variance(self) -> Any:
        """Return the variance of each count, n μ (1 - μ).

        >>> Multinomial(10, probs=[0.5, 0.5]).variance()
        array([2.5, 2.5])
        """
        return self.n * self.mu * (1 - self.mu)

    def covariance(self) -> Any:
        """Return the covariance of the counts, n (diag(μ) - μ μᵀ), of shape (..., K, K).

        Classes compete for the same n draws, so that any two counts vary against each other.

        >>> Multinomial(4, probs=[0.5, 0.5]).covariance()
        array([[ 1., -1.],
               [-1.,  1.]])
        """
        mu = self.mu
        own = np.eye(mu.shape[-1], dtype=mu.dtype) * mu[..., None, :]
        return self.n * (own - mu[..., :, None] * mu[..., None, :])

    def entropy(self) -> Any:
        """Return the expected surprise, -E[log p(x)], in nats.

        A multinomial is K independent Poisson counts with means n μ_k, given that they sum to n. So its
        entropy is the sum of the surprises -log Poisson(x_k | n μ_k), each expected over the binomial count
        x_k, less that of their sum, -log Poisson(n | n). Takes memory for n K numbers. A class of probability
        0 or 1, where the slope is infinite, gets no gradient.

        >>> bool(np.isclose(Multinomial(1, probs=np.full(4, 0.25)).entropy(), math.log(4)))
        True
        >>> two_coins = Multinomial(2, probs=[0.5, 0.5])  # counts (2, 0), (1, 1), (0, 2)
        >>> bool(np.isclose(two_coins.entropy(), 0.25 * math.log(4) * 2 + 0.5 * math.log(2)))
        True
        """
        if self.n < 2:
            return -self.n * np.sum(self._mu_log_mu(), axis=-1)
        mu, others = (_above_zero(p[..., None].astype(float)) for p in (self.mu, 1 - self.mu))
        count = np.arange(self.n + 1.0)
        log_factorial = _log_factorial(count)
        log_orders = log_factorial[-1] - log_factorial - log_factorial[::-1]
        binomial = np.exp(log_orders + count * np.log(mu) + count[::-1] * np.log(others))
        surprise = log_factorial - count * np.log(self.n * mu) + self.n * mu
        surprise_of_sum = log_factorial[-1] - self.n * math.log(self.n) + self.n
        return (np.sum(binomial * surprise, axis=(-2, -1)) - surprise_of_sum).astype(self.mu.dtype)

    def sample(self, size: Any = (), seed: int | np.random.Generator | None = None) -> Any:
        """Draw counts: integers of shape (*size, ..., K) that sum to n.

        Args:
            size: how many, a number or a shape.
            seed: a number for the same draws every time, or a `numpy.random.Generator` to go on with.

        >>> draws = Multinomial(100, probs=[0.1, 0.9]).sample(3, seed=0)
        >>> draws.shape, draws.sum(axis=1)
        ((3, 2), array([100, 100, 100]))
        """
        mu = np.asarray(_values(self.mu), dtype=float)
        shape = (size,) if np.ndim(size) == 0 else tuple(size)
        mu = mu / mu.sum(axis=-1, keepdims=True)
        return np.random.default_rng(seed).multinomial(self.n, mu, size=(*shape, *mu.shape[:-1]))

    def _mu_log_mu(self) -> Any:
        return _times_log(self.mu, self.mu) if self.log_mu is None else self.mu * self.log_mu

    def _log_coefficient(self, counts: Any) -> Any:
        return math.lgamma(self.n + 1) - np.sum(_log_factorial(counts), axis=-1)

    def _counts(self, x: Any) -> Any:
        """Check that an observation is counts of K classes that sum to n, and return it as an array."""
        counts, classes = np.asarray(_data(x)), self.mu.shape[-1]
        if counts.ndim == 0 or counts.shape[-1] != classes:
            raise ValueError(
                f"an observation counts {classes} classes along its last axis, and this has shape "
                f"{counts.shape}; write tinygrad_edu.data.one_hot(labels, {classes}) for integer labels"
            )
        if counts.dtype.kind not in "iufb" or np.any(counts < 0) or np.any(counts != np.round(counts)):
            raise ValueError(f"counts are whole numbers from 0 up, and are {counts.tolist()!s:.60} here")
        wrong = np.sum(counts, axis=-1, dtype=float)
        if np.any(wrong != self.n):
            raise ValueError(
                f"counts must sum to n = {self.n}, and sum to {wrong[wrong != self.n].flat[0]:g}"
            )
        return counts.astype(self.mu.dtype)


class Categorical(Multinomial):
    """Which of K classes comes in one draw: a `Multinomial` of one, whose outcomes are one-hot vectors.

    Args:
        probs: the probabilities μ, of shape (..., K), that sum to 1 over the last axis.
        logits: the same as unnormalised logarithms, μ = softmax(logits). Give one of the two.

    Raises:
        ValueError: as `Multinomial`.

    Source: Bishop, Pattern Recognition and Machine Learning, section 2.2, equation 2.26.

    >>> weather = Categorical(probs=[0.7, 0.2, 0.1])
    >>> float(weather.prob([0, 1, 0]).round(12))
    0.2
    >>> weather.sample(2, seed=1).sum(axis=1)
    array([1, 1])
    """

    def __init__(self, probs: Any = None, logits: Any = None):
        super().__init__(1, probs, logits)


def likelihood(h: Any, y: Any) -> Any:
    """Return the likelihood of one-hot labels: the product of h_l^y_l over all examples i and classes l.

    Of many examples it is too small a number for floating point, which is one reason for its logarithm.

    Args:
        h: what the model says, probabilities of shape (N, K).
        y: the labels, one-hot, of shape (N, K).

    Raises:
        TypeError, ValueError: as `Multinomial` and `Multinomial.log_prob`.

    >>> h = np.array([[0.9, 0.1], [0.4, 0.6]])
    >>> y = np.array([[1, 0], [0, 1]])
    >>> float(likelihood(h, y).round(12)), float(np.exp(log_likelihood(h, y)).round(12))
    (0.54, 0.54)
    """
    model = Categorical(probs=h)
    return np.prod(model.mu ** model._counts(y))


def log_likelihood(h: Any, y: Any) -> Any:
    """Return the logarithm of the likelihood of one-hot labels: Σ_i Σ_l y_l log h_l.

    Minus this, divided by N, is the cross-entropy. Arguments and errors as in `likelihood`.

    >>> float(log_likelihood([[0.5, 0.5]], [[0, 1]])) == math.log(0.5)
    True
    """
    return Categorical(probs=h).log_likelihood(y)


def _times_log(x: Any, mu: Any) -> Any:
    """Return x log μ, with 0 log 0 = 0, its limit."""
    with np.errstate(divide="ignore"):
        return x * np.log(np.where(x == 0, 1, mu))


def _above_zero(p: Any) -> Any:
    """Put a probability too small to matter in place of 0, so that it has a logarithm."""
    return np.where(p == 0, 1e-300, p)


def _log_softmax(logits: Any) -> Any:
    """Return log softmax; the largest logit is taken off first, which changes nothing and cannot overflow."""
    shifted = logits - np.max(_values(logits), axis=-1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))


def _checked_probs(probs: Any) -> Any:
    """Return probabilities as floats, after checking that they are."""
    mu = _floats(probs, "probs")
    values = _values(mu)
    if not np.all(values >= 0):
        raise ValueError(f"probs must be numbers from 0 up, and hold {values[~(values >= 0)][0]}")
    total = np.sum(values, axis=-1)
    wrong = total[np.abs(total - 1) > np.sqrt(np.finfo(values.dtype).eps)]
    if np.size(wrong):
        raise ValueError(
            f"probs must sum to 1 over their last axis, and sum to {float(wrong.flat[0]):.8g}; write "
            "probs / np.sum(probs, axis=-1, keepdims=True), or pass them as logits= if they are scores"
        )
    return mu


def _checked_logits(logits: Any) -> Any:
    """Return logits as floats, after checking that they are finite."""
    scores = _floats(logits, "logits")
    if not np.all(np.isfinite(_values(scores))):
        raise ValueError("logits must be finite; a probability of exactly 0 can be given through probs=")
    return scores


def _floats(given: Any, name: str) -> Any:
    """Return a Tensor of floats as it is, and anything else as floats; classes are on the last axis."""
    array = given if isinstance(given, Tensor) else np.asarray(given)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{name} needs one number a class along its last axis, and has shape {array.shape}")
    return array if is_differentiable(array.dtype) else array.astype(float)


def _values(given: Any) -> Any:
    """Return the plain array inside a Tensor, or the array itself."""
    return given.data if isinstance(given, Tensor) else given


def _data(given: Any) -> Any:
    """Return an observation as a plain array; it is data, so no gradient may be wanted for it."""
    if isinstance(given, Tensor) and given.requires_grad:
        raise TypeError("counts and labels are data and get no gradient; pass tensor.detach()")
    return _values(given)
