"""Learn to read handwritten digits: the course's two-layer network, trained from scratch in seconds.

What one sees: a line an epoch (with a progress bar before it, in a terminal only); the accuracy on 1,000
digits that the network never trained on; and three pictures. ``graph.svg`` is the graph of one batch's loss:
every array from the pixels to the loss, and the gradients on their way back. ``learning_curves.png`` shows
that the training loss goes on falling long after the test digits have nothing more to gain. ``weights.png``
shows what each of the ten hidden units looks for. Takes about five seconds.
"""

import argparse
import time
from pathlib import Path

import tinygrad_edu as tg
from tinygrad_edu import nn, viz
from tinygrad_edu.data import process_data
from tinygrad_edu.viz import plots


def positive(text):
    """Read a whole number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"needs a whole number from 1 up, and got {text}")
    return int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--epochs", type=positive, default=50, help="passes over the 5,000 digits (default 50)"
    )
    parser.add_argument("--out", type=Path, default=Path("out/learn_digits"), help="folder for the pictures")
    parser.add_argument("--seed", type=int, default=1, help="for the first weights and the order of digits")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    # 5,000 digits to learn from and 1,000 to test on: 784 pixels from 0 to 1, and the digit, one-hot
    x_train, y_train, x_test, y_test = process_data()

    # h = relu(x W + b), then the probability of each digit: softmax(h W + b)
    hidden = nn.Dense(10, input_dim=784, activation="relu", name="hidden")
    output = nn.Dense(10, activation="softmax", name="output")
    model = nn.Sequential([hidden, output], seed=arguments.seed)
    model.compile(optimizer=nn.SGD(learning_rate=0.1), loss="categorical_crossentropy", metrics=["accuracy"])
    model.summary()

    start = time.perf_counter()
    history = model.fit(
        x_train, y_train, batch_size=32, epochs=arguments.epochs, validation_data=(x_test, y_test)
    )
    seconds = time.perf_counter() - start

    loss, accuracy = model.evaluate(x_test, y_test)
    print(f"{arguments.epochs} epochs in {seconds:.1f} s; training loss {history.history['loss'][-1]:.4f}")
    print(f"Test accuracy: {accuracy:.1%} (chance is 10%), test loss {loss:.4f}")

    # one batch, forwards and backwards, to draw
    x, labels = tg.Tensor(x_train[:32], name="x"), tg.Tensor(y_train[:32], name="labels")
    loss = nn.categorical_crossentropy(labels, model(x))
    loss.name = "loss"
    loss.backward()
    viz.draw(loss).write(arguments.out / "graph.svg")

    curves = plots.learning_curves(history, "784 inputs, 10 relu, 10 softmax; SGD 0.1, batch 32")
    curves.savefig(arguments.out / "learning_curves.png")
    plots.weights(hidden.kernel, title="What each hidden unit looks for").savefig(
        arguments.out / "weights.png"
    )
    print(f"Wrote graph.svg, learning_curves.png and weights.png to {arguments.out.resolve()}")


if __name__ == "__main__":
    main()
