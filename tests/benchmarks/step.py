"""Time one training step (forward, backward, update) of the course's four networks, side by side.

    python tests/benchmarks/step.py

Every engine runs the same numbers in float32, in turns within one process; the table shows medians and the
ratio to NumPy written by hand (floor.py). PyTorch takes part if it is installed.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable

import floor
import numpy as np

from tinygrad_edu import Tensor, nn

Step = Callable[[], float]
CONFIGURATIONS = [("l1_b32", 1, 32), ("l1_b1", 1, 1), ("L2_b32", 2, 32), ("L2_b1", 2, 1)]


def by_hand(layers: int, batch: int) -> Step:
    return floor.softmax_regression(batch) if layers == 1 else floor.two_layers(batch)


def by_hand_with_dot(layers: int, batch: int) -> Step:
    make = floor.softmax_regression if layers == 1 else floor.two_layers
    return make(batch, np.dot)


def eager(layers: int, batch: int) -> Step:
    x, onehot, arrays = floor.problem(layers, batch)
    parameters = [Tensor(a, requires_grad=True) for a in arrays]
    optimizer = nn.optimizers.SGD(floor.LEARNING_RATE)

    def step() -> float:
        z = x @ parameters[0] + parameters[1]
        if layers == 2:
            z = nn.relu(z) @ parameters[2] + parameters[3]
        loss = nn.losses.softmax_cross_entropy(z, onehot)
        loss.backward()
        optimizer.apply(parameters)
        return float(loss)

    return step


def pytorch(layers: int, batch: int) -> Step:
    import torch

    torch.set_num_threads(1)
    x, onehot, arrays = floor.problem(layers, batch)
    pixels, labels = torch.from_numpy(x), torch.from_numpy(onehot)
    parameters = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
    optimizer = torch.optim.SGD(parameters, lr=floor.LEARNING_RATE)

    def step() -> float:
        z = pixels @ parameters[0] + parameters[1]
        if layers == 2:
            z = torch.relu(z) @ parameters[2] + parameters[3]
        loss = torch.nn.functional.cross_entropy(z, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


ENGINES = {
    "NumPy by hand": by_hand,
    "by hand, np.dot": by_hand_with_dot,
    "tinygrad_edu": eager,
    "PyTorch": pytorch,
}


def compare(layers: int, batch: int, rounds: int, steps: int) -> dict[str, float]:
    """Return each engine's median time for a step, in microseconds; all must compute the same losses."""
    running = {}
    for name, engine in ENGINES.items():
        try:
            running[name] = engine(layers, batch)
        except ImportError:
            print(f"({name} is not installed)")
    losses = {name: [step() for _ in range(20)] for name, step in running.items()}
    for found in losses.values():
        np.testing.assert_allclose(found, losses["NumPy by hand"], rtol=1e-3)
    times: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(rounds):
        for name, step in running.items():
            start = time.perf_counter()
            for _ in range(steps):
                step()
            times[name].append((time.perf_counter() - start) / steps * 1e6)
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    if (
        os.environ.get("OPENBLAS_NUM_THREADS") != "1"
    ):  # products of (32, 784) by (784, 10) are too small to share
        os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        os.execv(sys.executable, [sys.executable, *sys.argv])
    print(f"{'':8}" + "".join(f"{name:>24}" for name in ENGINES))
    for label, layers, batch in CONFIGURATIONS:
        found = compare(layers, batch, options.rounds, options.steps)
        base = found["NumPy by hand"]
        cells = (f"{found[n]:14.1f} us {found[n] / base:5.2f}x" for n in ENGINES if n in found)
        print(f"{label:8}" + "".join(cells))


if __name__ == "__main__":
    main()
