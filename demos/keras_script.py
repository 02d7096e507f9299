"""The course's Keras script, with only its imports changed (and the figure saved at the end).

What one sees: the lines from ``process_data()`` to ``plt.legend()`` are those of the slides, spaces included.
A network of 784 inputs, 10 relu and 10 softmax units learns 5,000 digits in 50 epochs; its loss falls to
almost nothing and its accuracy on the training digits rises to almost 1. Takes a few seconds.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt

from tinygrad_edu.data import process_data
from tinygrad_edu.nn import Sequential
from tinygrad_edu.nn.layers import Dense
from tinygrad_edu.nn.optimizers import SGD

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", type=Path, default=Path("out/keras_script"), help="folder for the figure")
out = parser.parse_args().out

# fmt: off
x_train,y_train,x_test,y_test=process_data()

model=Sequential()

model.add(Dense(10,input_dim=784,activation='relu'))

model.add(Dense(10,activation='softmax'))

model.compile(optimizer=SGD(lr=0.1),
              loss='categorical_crossentropy',
              metrics=['categorical_accuracy'])

traj=model.fit(x_train,
              y_train,
              epochs=50,
              batch_size=32,
              validation_data=(x_test, y_test),
              shuffle=True,verbose=0)

plt.plot(traj.history['loss'],linewidth=4,label='loss')

plt.plot(traj.history['categorical_accuracy'],linewidth=4,label='accuracy')

plt.legend()
# fmt: on

plt.xlabel("epoch")
out.mkdir(parents=True, exist_ok=True)
plt.savefig(out / "learning_curve.png")
last = {name: values[-1] for name, values in traj.history.items()}
print(f"Training loss {last['loss']:.3f}, training accuracy {last['categorical_accuracy']:.3f}")
print(f"Test accuracy: {last['val_categorical_accuracy']:.1%}")
print(f"Wrote {out / 'learning_curve.png'}")
