"""Two layers on real digits, to be explored in a browser: one page for one step, one for a whole training.

What one sees: explorer.html steps through the forward pass and then the backward pass of one batch, call by
call, with each gradient as it arrives; click a card for its numbers, its rule with numbers put in, and its
line of code. training.html has a slider that moves through the epochs: the first layer's weights, drawn as
images, grow strokes, and gradients shrink. Both are single files that need no network. Takes a few seconds.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import viz
from tinygrad_edu.data import batches, process_data
from tinygrad_edu.nn import relu, softmax_cross_entropy


def make_parameters(seed=0):
    """W and b of both layers: 784 inputs, 10 hidden units, 10 classes."""
    rng = np.random.default_rng(seed)
    values = {
        "l1.W": rng.normal(0, np.sqrt(2 / 784), (784, 10)),
        "l1.b": np.zeros(10),
        "l2.W": rng.normal(0, np.sqrt(2 / 10), (10, 10)),
        "l2.b": np.zeros(10),
    }
    return {name: tg.Tensor(value, requires_grad=True, name=name) for name, value in values.items()}


def network(parameters, x, y):
    """The loss of the slides' two-layer network: relu(x W1 + b1) W2 + b2, softmax, cross-entropy."""
    with tg.scope("layer 1"):
        z1 = x @ parameters["l1.W"] + parameters["l1.b"]
        h = relu(z1)
    with tg.scope("layer 2"):
        z2 = h @ parameters["l2.W"] + parameters["l2.b"]
    return softmax_cross_entropy(z2, y)


def train(parameters, data, epochs, learning_rate, snapshots):
    """Stochastic gradient descent, a batch of 32 at a time, and a snapshot after each epoch."""
    x_train, y_train = data
    order = np.random.default_rng(1)
    snapshots.take(label="before training")
    for epoch in range(1, epochs + 1):
        for x, y in batches(x_train, y_train, 32, seed=order):
            network(parameters, x, y).backward()
            for parameter in parameters.values():
                parameter.assign(parameter.data - learning_rate * parameter.grad.data)
                parameter.zero_grad()
        snapshots.take(label=f"after epoch {epoch}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8, help="passes over the 5,000 digits (default 8)")
    parser.add_argument(
        "--out", type=Path, default=Path("out/explore_gradients"), help="folder for the pages"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    x_train, y_train, *_ = process_data()
    parameters = make_parameters()
    x, y = x_train[:32], y_train[:32]
    loss = network(parameters, x, y)
    page = viz.explore(loss, arguments.out / "explorer.html", title="Two layers, one batch of 32 digits")
    print(f"One step, forward and backward:  {page}")

    snapshots = viz.Snapshots(lambda: network(parameters, x, y))
    train(parameters, (x_train, y_train), arguments.epochs, 0.1, snapshots)
    page = viz.explore(
        snapshots, arguments.out / "training.html", title=f"{arguments.epochs} epochs of training"
    )
    print(f"The training, epoch by epoch:    {page}")
    print(
        f"Loss on the 32 digits: {snapshots.moments[0]['loss']} before, {snapshots.moments[-1]['loss']} after"
    )
    print("Open them in a browser; the keys → and ← step.")


if __name__ == "__main__":
    main()
