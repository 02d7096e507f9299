"""What `compare.py` runs in processes of their own: `measure.py FUNCTION ARGUMENTS`, both ways in JSON."""

import gc
import json
import os
import statistics
import sys
import time
from typing import Any

import numpy as np
from engines import ENGINES, FLOOR, JITTED, Trainer, jitted_step, stepwise
from floor import Workload

SLICE = 0.02  # seconds that an engine runs before it is another's turn
PAUSE = 0.1  # seconds between turns, if there are threads: OpenBLAS's wait busily for long after a product


def check(losses: dict[str, list[float]]) -> None:
    """Raise unless all engines computed the floor's losses (down at 0, float32 has no digits to compare)."""
    for name, found in losses.items():
        np.testing.assert_allclose(found, losses[FLOOR], 1e-3, 1e-6, err_msg=f"losses of {name}")


def medians(trainers: dict[str, Trainer], rounds: int) -> dict[str, float]:
    """Return the median time of a step in µs for each engine, which take turns within every round."""
    steps = {name: _slice(trainer) for name, trainer in trainers.items()}
    times: dict[str, list[float]] = {name: [] for name in trainers}
    gc.collect()
    gc.freeze()  # so that no engine pays for looking through the others' objects
    for _ in range(rounds):
        for name, trainer in trainers.items():
            if os.environ["OMP_NUM_THREADS"] != "1":
                time.sleep(PAUSE)
            if trainer.epoch == 1:
                trainer.run(1)  # brings its arrays back into the cache
            times[name].append(_seconds(trainer, steps[name]) / steps[name] * 1e6)
    gc.unfreeze()
    return {name: statistics.median(found) for name, found in times.items()}


def _slice(trainer: Trainer) -> int:
    """Return how many steps take about as long as a slice: whole epochs, where the engine takes those."""
    epochs = 1
    _seconds(trainer, trainer.epoch)  # makes what is made at first
    for _ in range(3):
        each = _seconds(trainer, epochs * trainer.epoch) / epochs
        epochs = max(1, round(SLICE / each))
    return epochs * trainer.epoch


def _seconds(trainer: Trainer, steps: int) -> float:
    start = time.perf_counter()
    trainer.run(steps)
    return time.perf_counter() - start


def steps(workloads: list[Any], engines: list[str], rounds: int) -> list[dict[str, float]]:
    """Time a step of each workload for each engine; what does not run is left out."""
    found = []
    for workload in (Workload(*w) for w in workloads):
        trainers, losses = {}, {}
        for name in dict.fromkeys([FLOOR, *engines]):
            try:
                trainer = ENGINES[name].make(workload)
                losses[name] = trainer.losses(20)
            except Exception as reason:
                print(f"({name} does not run {workload}: {reason!r})", file=sys.stderr)
            else:
                trainers[name] = trainer
        check(losses)
        found.append(medians(trainers, rounds))
    return found


def memory(workload: Any, engine: str) -> float:
    """Take 200 steps on one engine, and return the most memory this process has had, in MB."""
    import resource

    ENGINES[engine].make(Workload(*workload)).run(200)
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def capture(workload: Any) -> float:
    """Return how much longer the first call of a captured step takes than the second, in ms."""
    return _capture(Workload(*workload))


def _capture(workload: Workload) -> float:
    x, y, step = jitted_step(workload)
    trainer = stepwise(lambda: float(step(x, y)))
    first, second = (_seconds(trainer, 1) for _ in range(2))
    return (first - second) * 1e3


def scaling(workloads: list[Any], rounds: int) -> list[dict[str, float]]:
    """Time a step of ours, jitted, and of the floor for each workload, and the capture, in ms."""
    _capture(Workload((784, 10), 32))  # imports what capturing needs
    found = []
    for workload in (Workload(*w) for w in workloads):
        milliseconds = _capture(workload)
        trainers = {name: ENGINES[name].make(workload) for name in (FLOOR, JITTED)}
        check({name: trainer.losses(20) for name, trainer in trainers.items()})
        found.append(medians(trainers, rounds) | {"capture": milliseconds})
    return found


def installed() -> dict[str, list[str]]:
    """Return the names of the engines there are, each with the modules that it needs and that are missing."""
    return {name: engine.missing() for name, engine in ENGINES.items()}


if __name__ == "__main__":
    what, arguments = sys.argv[1:]
    print(json.dumps(globals()[what](**json.loads(arguments))))
