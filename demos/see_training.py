"""Watch a small relu network learn: the line it draws, the surface it descends, its gradients, its units.

What one sees, after training on two interleaved spirals (or moons): ``decision_boundary.png``, which class
the network gives to each point of the plane; ``loss_surface.png``, the loss around the path that the
optimizer took, in the two directions in which it moved most; ``gradient_flow.png``, the size of each
layer's gradient; and ``activations.png``, what every unit answers, with the dead relu units marked: those
that answer 0 to everything, and so no longer learn. Takes about five seconds. Try ``--optimizer sgd``,
``--layers 8`` or ``--learning-rate 0.1``, and look at the gradients and the dead units.
"""

import argparse
from pathlib import Path

import numpy as np

from tinygrad_edu import nn, viz
from tinygrad_edu.nn import optimizers


def moons(n, generator):
    """Return points of two half-circles, one turned over into the other, and which one each is of."""
    angle = np.pi * generator.random(n)
    label = np.arange(n) % 2
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x[label == 1] = [1.0, 0.5] - x[label == 1]
    return x + generator.normal(scale=0.15, size=(n, 2)), label


def spirals(n, generator):
    """Return points of two arms that wind around each other, and which arm each is of."""
    turns = 1.4 * np.sqrt(generator.random(n))
    label = np.arange(n) % 2
    angle = 2 * np.pi * turns + np.pi * label
    x = turns[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return x + generator.normal(scale=0.04, size=(n, 2)), label


def network(layers, units, seed):
    model = nn.Sequential([nn.Input(shape=(2,))], seed=seed)
    for number in range(1, layers + 1):
        model.add(nn.Dense(units, activation="relu", name=f"hidden_{number}"))
    model.add(nn.Dense(2, activation="softmax", name="output"))
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=["spirals", "moons"], default="spirals", help="what to tell apart")
    parser.add_argument("--epochs", type=int, default=100, help="passes over the points (default 100)")
    parser.add_argument("--points", type=int, default=400, help="how many there are (default 400)")
    parser.add_argument("--layers", type=int, default=3, help="hidden relu layers (default 3)")
    parser.add_argument("--units", type=int, default=16, help="in each of them (default 16)")
    parser.add_argument("--optimizer", default="adam", help="adam, sgd, rmsprop or adagrad (default adam)")
    parser.add_argument("--learning-rate", type=float, default=0.01, help="of the optimizer (default 0.01)")
    parser.add_argument("--grid", type=int, default=31, help="points along the loss surface (default 31)")
    parser.add_argument("--seed", type=int, default=0, help="for points and first weights (default 0)")
    parser.add_argument("--out", type=Path, default=Path("out/see_training"), help="folder for the plots")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    make = {"spirals": spirals, "moons": moons}[arguments.data]
    x, y = make(arguments.points, np.random.default_rng(arguments.seed))
    model = network(arguments.layers, arguments.units, arguments.seed)
    optimizer = optimizers.get(arguments.optimizer)
    optimizer.learning_rate = arguments.learning_rate
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])

    gradients = viz.GradientNorms(lambda: nn.sparse_categorical_crossentropy(y, model(x)))
    path = viz.WeightPath()
    model.fit(x, y, epochs=arguments.epochs, verbose=0, callbacks=[gradients, path], seed=arguments.seed)
    loss, accuracy = model.evaluate(x, y)
    print(f"After {arguments.epochs} epochs: loss {loss:.4f}, accuracy {accuracy:.1%} (chance is 50%)")

    what = f"{arguments.layers} × {arguments.units} relu, {arguments.optimizer} {arguments.learning_rate}"
    figures = {
        "decision_boundary": viz.decision_boundary(model, x, y, title=f"{arguments.data}: {what}"),
        "loss_surface": viz.loss_surface(model, x, y, path, title=what, points=arguments.grid),
        "gradient_flow": viz.gradient_flow(gradients, title=what),
        "activations": viz.activations(model, x[:100], y[:100], title="What each unit answers to 100 points"),
    }
    for name, figure in figures.items():
        figure.savefig(arguments.out / f"{name}.png")
        print(f"Wrote {arguments.out / name}.png")


if __name__ == "__main__":
    main()
