"""The chain rule, factor by factor: where the gradient of each weight matrix comes from.

What one sees: the products of local derivatives that the course writes under "Backpropagation" come out of
the program itself, (Ŷ - Y), W⁽³⁾, 0/1, W⁽²⁾, 0/1 and at last X, each with its norm. With sigmoids in place of
relus and weights that are too small, the gradient vanishes, and the explanation names the factors at which it
does. A loop that uses one matrix thirty times has thirty paths, and early steps hardly count. Takes a second.
"""

import argparse
from pathlib import Path

import numpy as np

from tinygrad_edu import Tensor, explain, nn
from tinygrad_edu.data import process_data


def weights(rng, *shape, scale=1.0):
    """Make a matrix of parameters from normal random numbers, divided by the root of the number of inputs."""
    return Tensor(rng.normal(0, scale / np.sqrt(shape[0]), shape), requires_grad=True)


def three_layers(X, Y, rng):
    """The network of the slides: two hidden layers of relus, and a softmax."""
    W1, W2, W3 = weights(rng, 784, 32), weights(rng, 32, 16), weights(rng, 16, 10)
    b1, b2, b3 = (Tensor(np.zeros(n), requires_grad=True) for n in (32, 16, 10))
    z1 = X @ W1 + b1
    h1 = nn.relu(z1)
    z2 = h1 @ W2 + b2
    h2 = nn.relu(z2)
    z3 = h2 @ W3 + b3
    J = nn.softmax_cross_entropy(z3, Y)
    return J, {"W3": W3, "W2": W2, "W1": W1, "b1": b1}


def many_sigmoids(X, Y, rng, layers=9):
    """A network too deep for its sigmoids: each slope is at most 1/4, and the weights are small as well."""
    h, first = X, None
    for _ in range(layers):
        W = weights(rng, h.shape[1], 16, scale=0.5)
        first = W if first is None else first
        h = nn.sigmoid(h @ W)
    V = weights(rng, 16, 10)
    J = nn.softmax_cross_entropy(h @ V, Y)
    return J, first


def loop(rng, steps=30):
    """A recurrent network: h ← tanh(x U + h W), with the same W at every step."""
    W, U = weights(rng, 8, 8, scale=0.8), weights(rng, 4, 8)
    h = np.zeros((2, 8))
    for x in rng.normal(size=(steps, 2, 4)):
        h = np.tanh(x @ U + h @ W)
    J = np.mean(h**2)
    return J, W


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path("out/chain_rule"), help="folder for the Markdown page"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    X, Y = (part[:32].astype(float) for part in process_data()[:2])
    rng = np.random.default_rng(0)

    J, parameters = three_layers(X, Y, rng)
    explanations = {name: explain(J, wrt=parameter) for name, parameter in parameters.items()}
    for name, explanation in explanations.items():
        print(f"=== the slides' network, {name} ===\n{explanation}\n")
    J, W = many_sigmoids(X, Y, rng)
    print(f"=== nine sigmoids ===\n{explain(J, wrt=W)}\n")
    J, W = loop(rng)
    print(f"=== one matrix, thirty times ===\n{explain(J, wrt=W)}\n")

    page = arguments.out / "chain_rule.md"
    page.write_text("\n".join(e.markdown() for e in explanations.values()), encoding="utf-8")
    print(f"Wrote {page}, for a notebook or any Markdown viewer that shows formulas")


if __name__ == "__main__":
    main()
