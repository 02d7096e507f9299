"""The slides' Keras script, on whichever library is named: tinygrad_edu, keras-jax or keras-torch.

Prints the accuracy on the test digits after training; `compare.py` runs it and measures time and memory.
"""

import os
import sys
from pathlib import Path


def main(library):
    if library == "tinygrad_edu":
        from tinygrad_edu.data import process_data
        from tinygrad_edu.nn import Sequential
        from tinygrad_edu.nn.layers import Dense
        from tinygrad_edu.nn.optimizers import SGD
    else:
        os.environ["KERAS_BACKEND"] = library.partition("-")[2]
        from keras import Input, Sequential
        from keras.layers import Dense
        from keras.optimizers import SGD

        process_data = load_with_numpy

    x_train, y_train, x_test, y_test = process_data()
    model = Sequential()
    if library == "tinygrad_edu":
        model.add(Dense(10, input_dim=784, activation="relu"))
    else:  # Keras 3 prefers Input to input_dim
        model.add(Input((784,)))
        model.add(Dense(10, activation="relu"))
    model.add(Dense(10, activation="softmax"))
    model.compile(
        optimizer=SGD(learning_rate=0.1), loss="categorical_crossentropy", metrics=["categorical_accuracy"]
    )
    traj = model.fit(
        x_train,
        y_train,
        epochs=50,
        batch_size=32,
        validation_data=(x_test, y_test),
        shuffle=True,
        verbose=0,
    )
    print(traj.history["val_categorical_accuracy"][-1])


def load_with_numpy():
    import numpy as np

    digits = np.load(Path(__file__).parents[2] / "tinygrad_edu" / "data" / "mnist_6000.npz")
    one_hot = np.eye(10, dtype=np.float32)
    x_train, x_test = (digits[name].astype(np.float32) / 255 for name in ("x_train", "x_test"))
    return x_train, one_hot[digits["y_train"]], x_test, one_hot[digits["y_test"]]


if __name__ == "__main__":
    main(sys.argv[1])
