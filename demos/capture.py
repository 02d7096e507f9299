"""The training step as one NumPy program: what `tg.jit` makes of the slides' two-layer network.

What one sees: the program, each line with the line of this file or the gradient rule that it comes from; what
every pass has removed from it; that training call by call and captured gives the same weights, bit for bit;
and what a step takes. ``step.py`` is the program as a file, which needs NumPy only. If Numba is installed, a
program with compiled loops joins in (``compiled_step.py``). Takes two seconds.
"""

import argparse
import importlib.util
import statistics
import time
from pathlib import Path

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import nn
from tinygrad_edu.data import process_data

BATCH, RATE = 32, 0.1


def first_weights():
    shapes = {"W1": (784, 10), "b1": 10, "W2": (10, 10), "b2": 10}
    rng = np.random.default_rng(0)
    return {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}


def with_tensors():
    """Return the parameters, and a function that moves them one step down the gradient."""
    parameters = [tg.Tensor(w, requires_grad=True, name=name) for name, w in first_weights().items()]
    W1, b1, W2, b2 = parameters
    optimizer = nn.SGD(RATE)

    def step(x, y):
        z1 = x @ W1 + b1
        h1 = nn.relu(z1)
        z2 = h1 @ W2 + b2
        loss = nn.categorical_crossentropy(y, nn.softmax(z2))
        loss.backward()
        optimizer.apply(parameters)
        return loss.data

    return parameters, step


def by_hand():
    """Return the same step in NumPy: the gradients of the slides, every result in an array made once."""
    W1, b1, W2, b2 = first_weights().values()
    dW1, db1, dW2, db2 = map(np.empty_like, (W1, b1, W2, b2))
    h1, z2, p, d1 = (np.empty((BATCH, 10), np.float32) for _ in range(4))
    row, rate = np.empty((BATCH, 1), np.float32), np.float32(RATE)

    def step(x, y):
        np.maximum(np.add(np.matmul(x, W1, out=h1), b1, out=h1), 0, out=h1)
        np.add(np.matmul(h1, W2, out=z2), b2, out=z2)
        np.subtract(z2, np.maximum.reduce(z2, axis=1, keepdims=True, out=row), out=z2)
        np.divide(np.exp(z2, out=p), np.add.reduce(p, axis=1, keepdims=True, out=row), out=p)
        loss = -np.vdot(y, np.subtract(z2, np.log(row, out=row), out=z2)) / BATCH
        np.divide(np.subtract(p, y, out=p), BATCH, out=p)  # (Ŷ - Y) / N
        np.multiply(np.matmul(p, W2.T, out=d1), h1 > 0, out=d1)
        np.matmul(x.T, d1, out=dW1), np.add.reduce(d1, axis=0, out=db1)
        np.matmul(h1.T, p, out=dW2), np.add.reduce(p, axis=0, out=db2)
        for w, dw in (W1, dW1), (b1, db1), (W2, dW2), (b2, db2):
            np.subtract(w, np.multiply(rate, dw, out=dw), out=w)
        return loss

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20, help="passes over the digits (default 20)")
    parser.add_argument("--out", type=Path, default=Path("out/capture"), help="folder for the program")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    X, Y, *_ = process_data()  # 5,000 digits, of which 4,992 make whole batches
    batches = [(X[i : i + BATCH], Y[i : i + BATCH]) for i in range(0, len(X) - BATCH, BATCH)]
    (expected, eager), (parameters, step) = with_tensors(), with_tensors()
    captured = tg.jit(step)
    steps = {"call by call": eager, "captured": captured, "by hand": by_hand()}
    trained = [expected, parameters]
    if importlib.util.find_spec("numba"):
        parameters, step = with_tensors()
        steps["compiled loops"] = tg.jit(step, compiled=True)
        trained.append(parameters)
    seconds, losses = {name: [] for name in steps}, {}
    for x, y in batches * arguments.epochs:
        for name, take in steps.items():  # in turns, so that whatever slows the machine slows all alike
            start = time.perf_counter()
            losses[name] = take(x, y)
            seconds[name].append(time.perf_counter() - start)
    print(captured.source, captured.report(), sep="\n")
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    print(f"\n{'one step':18}{'median':>12}{'ratio':>8}{'last loss':>12}")
    for name, median in medians.items():
        print(f"{name:18}{median * 1e6:9.1f} µs{median / medians['by hand']:8.2f}{losses[name]:12.6f}")
    if "compiled loops" not in steps:
        print("(no compiled loops: Numba is not installed)")
    same = len({tuple(w.data.tobytes() for w in weights) for weights in trained}) == 1
    print(f"All weights are equal, bit for bit, after training in all ways that record: {same}")
    programs = {"step.py": captured, "compiled_step.py": steps.get("compiled loops")}
    for name, program in programs.items():
        if program:
            (arguments.out / name).write_text(program.source, encoding="utf-8")
            print(f"Wrote {arguments.out / name}")


if __name__ == "__main__":
    main()
