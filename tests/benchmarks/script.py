"""The slides' Keras script, on whichever library is named: tinygrad_edu, keras-jax or keras-torch.

Prints the accuracy on the test digits after training; `compare.py` runs it and measures time and memory.
"""

import os
import sys
from pathlib import Path

library = sys.argv[1]
if library == "tinygrad_edu":
    from tinygrad_edu.data import process_data
    from tinygrad_edu.nn import Sequential
    from tinygrad_edu.nn.layers import Dense
    from tinygrad_edu.nn.optimizers import SGD
else:
    os.environ["KERAS_BACKEND"] = library.partition("-")[2]
    import numpy as np
    from keras import Sequential
    from keras.layers import Dense, Input
    from keras.optimizers import SGD

    def process_data():
        digits = np.load(Path(__file__).parents[2] / "tinygrad_edu" / "data" / "mnist_6000.npz")
        x_train, x_test = (digits[name].astype("float32") / 255 for name in ("x_train", "x_test"))
        return x_train, np.eye(10, dtype="float32")[digits["y_train"]], x_test, np.eye(10)[digits["y_test"]]


x_train, y_train, x_test, y_test = process_data()

model = Sequential()
if library == "tinygrad_edu":
    model.add(Dense(10, input_dim=784, activation="relu"))
else:  # Keras 3 has no input_dim
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
