"""How the number of layers and the batch size change the way a network learns.

What one sees: the course's four runs, all with SGD at 0.1. l1_b32 and l1_b1 are softmax regression (one
layer, 7,850 parameters) in batches of 32 and of 1; L2_b32 and L2_b1 have ten relu units before it (7,960
parameters). In batches of 32, two layers fit the training digits better than one, and the test digits no
better. A single digit's gradient is too rough for steps of 0.1: l1_b1 grows ever more sure of its mistakes
(its test loss rises), and in L2_b1 about half of the relu units die: they give 0 for every digit, and so
never learn again. With ``--stochastic-rate 0.01`` both learn well. Takes about a minute, nearly all of it in
the 300,000 steps of batch 1.
"""

import argparse
import time
from pathlib import Path

from tinygrad_edu import nn
from tinygrad_edu.data import process_data
from tinygrad_edu.viz import plots

RUNS = {"l1_b32": (1, 32), "l1_b1": (1, 1), "L2_b32": (2, 32), "L2_b1": (2, 1)}  # layers, batch size


def network(layers, rate, seed):
    model = nn.Sequential(seed=seed)
    if layers == 2:
        model.add(nn.Dense(10, input_dim=784, activation="relu"))
    model.add(nn.Dense(10, input_dim=784 if layers == 1 else 10, activation="softmax"))
    model.compile(nn.SGD(learning_rate=rate), "categorical_crossentropy", metrics=["categorical_accuracy"])
    return model


def positive(text):
    """Read a whole number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"needs a whole number from 1 up, and got {text}")
    return int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=positive, default=30, help="passes over the digits (default 30)")
    parser.add_argument("--stochastic-rate", type=float, default=0.1, help="for batches of 1 (default 0.1)")
    parser.add_argument(
        "--seeds", type=positive, default=1, help="how often each run is repeated (default 1)"
    )
    parser.add_argument(
        "--digits", type=positive, default=5000, help="how many to learn from (default 5000, all)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/learning_behaviours"), help="folder for the plots"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    x_train, y_train, x_test, y_test = process_data()
    x_train, y_train = x_train[: arguments.digits], y_train[: arguments.digits]

    histories = {}
    for name, (layers, batch_size) in RUNS.items():
        rate = arguments.stochastic_rate if batch_size == 1 else 0.1
        start = time.perf_counter()
        histories[name] = [
            network(layers, rate, seed).fit(
                x_train,
                y_train,
                batch_size=batch_size,
                epochs=arguments.epochs,
                validation_data=(x_test, y_test),
                verbose=0,
            )
            for seed in range(arguments.seeds)
        ]
        last = {key: values[-1] for key, values in histories[name][0].history.items()}
        print(
            f"{name:7} {time.perf_counter() - start:5.1f} s: "
            f"training loss {last['loss']:.3f}, accuracy {last['categorical_accuracy']:.3f}; "
            f"test loss {last['val_loss']:.3f}, accuracy {last['val_categorical_accuracy']:.3f}"
        )

    figure = plots.learning_curves(histories, "Learning behaviours [layers, batch size]")
    figure.savefig(arguments.out / "learning_behaviours.png")
    print(f"Wrote {arguments.out / 'learning_behaviours.png'}")


if __name__ == "__main__":
    main()
