"""Softmax regression from scratch: the course's derivation, line by line, on Tensors and plain NumPy.

What one sees: minus the logarithm of the likelihood of the labels *is* the cross-entropy; the gradient that
one derives by hand, (1/N) Xᵀ(h - Y), is what automatic differentiation finds; and in as many epochs
stochastic descent gets further than mini-batches, and those further than whole batches, since they take more
steps. Takes about fifteen seconds.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu.data import batches, process_data
from tinygrad_edu.distributions import Multinomial, likelihood, log_likelihood
from tinygrad_edu.viz import plots


def hypothesis(theta, X):
    """The probabilities h of shape (N, 10): softmax of X θ, whose largest exponent is taken off first."""
    z = X @ theta
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def cross_entropy(theta, X, Y):
    """The objective J(θ): minus the mean of Σ_l y_l log h_l."""
    return -np.sum(Y * np.log(hypothesis(theta, X))) / len(X)


def gradient_by_hand(theta, X, Y):
    """∇J(θ) as one derives it on paper."""
    return X.T @ (hypothesis(theta, X) - Y) / len(X)


def gradient_descent(data, batch_size, alpha, epochs):
    """θ ← θ - α ∇J(θ), a batch at a time; return θ and the history of an epoch's end."""
    X, Y, X_test, Y_test = data
    theta = tg.Tensor(np.zeros((784, 10), np.float32), requires_grad=True, name="θ")
    history = {name: [] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    order = np.random.default_rng(0)
    for _ in range(epochs):
        for x, y in batches(X, Y, batch_size, seed=order):
            cross_entropy(theta, x, y).backward()
            theta.assign(theta.data - np.float32(alpha) * theta.grad.data)
            theta.zero_grad()
        for split, x, y in (("", X, Y), ("val_", X_test, Y_test)):
            history[split + "loss"].append(cross_entropy(theta.data, x, y))
            right = hypothesis(theta.data, x).argmax(axis=1) == y.argmax(axis=1)
            history[split + "accuracy"].append(right.mean())
    return theta, history


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10, help="passes over the 5,000 digits (default 10)")
    parser.add_argument(
        "--out", type=Path, default=Path("out/softmax_regression"), help="folder for the plots"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    data = X, Y, X_test, Y_test = process_data()

    print("1. A die shows two threes and three fours in five throws, in any order:")
    die = Multinomial(n=5, probs=np.full(6, 1 / 6))
    print(f"   5! / (2! 3!) (1/6)² (1/6)³ = {die.prob([0, 0, 2, 3, 0, 0]):.6f}")

    print("2. The labels of five digits are five throws of a die that the model bends towards each image:")
    theta = tg.Tensor(np.random.default_rng(0).normal(0, 0.1, (784, 10)), requires_grad=True, name="θ")
    h = hypothesis(theta, X[:5])
    print(f"   likelihood of the labels  Π Π h^y             = {likelihood(h, Y[:5]).item():.6e}")
    print(f"   minus its logarithm / N                       = {-log_likelihood(h, Y[:5]).item() / 5:.6f}")
    print(
        f"   cross-entropy  J = -1/N Σ Σ y log h           = {cross_entropy(theta, X[:5], Y[:5]).item():.6f}"
    )

    print("3. Its gradient, by hand and by automatic differentiation:")
    cross_entropy(theta, X, Y).backward()
    difference = np.abs(theta.grad.data - gradient_by_hand(theta.data, X, Y)).max()
    print(f"   largest difference from (1/N) Xᵀ(h - Y)       = {difference:.1e}")

    print(f"4. Gradient descent θ ← θ - α ∇J(θ), {arguments.epochs} epochs:")
    variants = {"batch (5000)": (5000, 0.5), "mini-batch (32)": (32, 0.1), "stochastic (1)": (1, 0.01)}
    histories = {}
    for name, (batch_size, alpha) in variants.items():
        theta, histories[name] = gradient_descent(data, batch_size, alpha, arguments.epochs)
        loss, accuracy = histories[name]["loss"][-1], histories[name]["val_accuracy"][-1]
        steps = arguments.epochs * -(-len(X) // batch_size)
        print(f"   {name:16} α = {alpha:<5} {steps:6} steps: loss {loss:.3f}, test accuracy {accuracy:.3f}")

    plots.learning_curves(histories, "Softmax regression").savefig(arguments.out / "learning_curves.png")
    plots.weights(theta, title="What each class looks for: θ").savefig(arguments.out / "weights.png")
    h = hypothesis(theta.data, X_test)
    plots.confusion_matrix(Y_test, h, title="Test digits").savefig(arguments.out / "confusion_matrix.png")
    wrong = np.flatnonzero(h.argmax(axis=1) != Y_test.argmax(axis=1))[:20]
    mistakes = plots.predictions(X_test[wrong], h[wrong], Y_test[wrong], title="Mistakes: predicted ≠ true")
    mistakes.savefig(arguments.out / "mistakes.png")
    print(f"Wrote learning_curves, weights, confusion_matrix and mistakes (.png) to {arguments.out}/")


if __name__ == "__main__":
    main()
