"""How different optimizers learn the same model: softmax regression in batches of 32.

What one sees: training loss and test accuracy of SGD, SGD with momentum, Adagrad, RMSprop and Adam, from the
same first weights and over the same batches. Momentum fits the training digits best by far, and the test
digits worst; Adagrad, whose steps only ever shrink, is slowest; Adam and RMSprop do without a tuned rate.
Takes about twenty seconds.
"""

import argparse
import time
from pathlib import Path

from tinygrad_edu import nn
from tinygrad_edu.data import process_data
from tinygrad_edu.viz import plots


def optimizers():
    """New optimizers by name, with the settings that are usual for each."""
    return {
        "SGD (0.1)": nn.SGD(learning_rate=0.1),
        "SGD (0.1) + momentum 0.9": nn.SGD(learning_rate=0.1, momentum=0.9),
        "Adagrad (0.01)": nn.Adagrad(learning_rate=0.01),
        "RMSprop (0.001)": nn.RMSprop(learning_rate=0.001),
        "Adam (0.001)": nn.Adam(learning_rate=0.001),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=50, help="passes over the 5,000 digits (default 50)")
    parser.add_argument("--out", type=Path, default=Path("out/optimizers"), help="folder for the plot")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    x_train, y_train, x_test, y_test = process_data()

    histories = {}
    for name, optimizer in optimizers().items():
        model = nn.Sequential([nn.Dense(10, input_dim=784, activation="softmax")], seed=0)
        model.compile(optimizer, "categorical_crossentropy", metrics=["categorical_accuracy"])
        start = time.perf_counter()
        histories[name] = model.fit(
            x_train,
            y_train,
            batch_size=32,
            epochs=arguments.epochs,
            validation_data=(x_test, y_test),
            verbose=0,
        )
        last = {key: values[-1] for key, values in histories[name].history.items()}
        print(
            f"{name:25} {time.perf_counter() - start:4.1f} s: training loss {last['loss']:.3f}, "
            f"test loss {last['val_loss']:.3f}, test accuracy {last['val_categorical_accuracy']:.3f}"
        )

    figure = plots.compare_optimizers(histories, "Behaviours of different optimizers [one layer, batch 32]")
    figure.savefig(arguments.out / "optimizers.png")
    print(f"Wrote {arguments.out / 'optimizers.png'}")


if __name__ == "__main__":
    main()
