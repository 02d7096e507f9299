"""Compare training steps of tinygrad_edu with NumPy written by hand and with other libraries, in one table.

    python tests/benchmarks/compare.py [--only steps|script|scaling] [--engines NAME,NAME] [--rounds 20]

Engines take part if they are installed. All train the same networks on the same numbers in float32, in turns
within one process, and the losses of their first 20 steps must agree; times are medians over the turns. The
small networks get one thread, which is the fastest for them, the large one two; JAX uses what it likes.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PIXELS, BATCH = 784, 32
ONE, TWO, LARGE = (PIXELS, 10), (PIXELS, 10, 10), (PIXELS, 512, 512, 10)
SMALL_WORKLOADS = {
    "l1_b32": (ONE, BATCH, "sgd"),
    "l1_b1": (ONE, 1, "sgd"),
    "l2_b32": (TWO, BATCH, "sgd"),
    "l2_b1": (TWO, 1, "sgd"),
    "momentum": (ONE, BATCH, "momentum"),
    "Adagrad": (ONE, BATCH, "adagrad"),
    "RMSprop": (ONE, BATCH, "rmsprop"),
    "Adam": (ONE, BATCH, "adam"),
}
LARGE_WORKLOADS = {"512, Adam": (LARGE, 128, "adam")}
DEPTHS, BATCHES = (1, 10, 100, 1000), (1, 10, 100, 1000, 10_000)
LIBRARIES = {  # for the script: what the table calls them, and the modules they take
    "tinygrad_edu": ("ours", ()),
    "keras-jax": ("Keras on JAX", ("keras", "jax")),
    "keras-torch": ("Keras on PyTorch", ("keras", "torch")),
}
SECTIONS = ("steps", "script", "scaling")


def measure(what: str, threads: int = 1, **arguments: Any) -> Any:
    """Measure one thing in a process of its own (see `measure.py`)."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    command = [sys.executable, HERE / "measure.py", what, json.dumps(arguments)]
    environment = _environment() | dict.fromkeys(names, str(threads))
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _environment() -> dict[str, str]:
    """Let the package be found that this file came with."""
    paths = [str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def steps(engines: list[str], rounds: int) -> None:
    """Print the time of a step of each workload, and the memory of a process, for each engine."""
    found = {}
    for threads, workloads in ((1, SMALL_WORKLOADS), (2, LARGE_WORKLOADS)):
        times = measure("steps", threads, workloads=list(workloads.values()), engines=engines, rounds=rounds)
        found |= dict(zip(workloads, times, strict=True))
    floor = next(iter(found["l1_b32"]))
    print("Training step: µs, and ratio to NumPy by hand; peak memory of a process that only trains l2_b32")
    print(f"{'':16}" + "".join(f"{label:>15}" for label in found) + f"{'memory':>10}")
    for name in dict.fromkeys([floor, *engines]):
        cells = "".join(_cell(times.get(name), times[floor]) for times in found.values())
        if name in found["l2_b32"]:
            cells += f"{measure('memory', workload=SMALL_WORKLOADS['l2_b32'], engine=name):7.0f} MB"
        print(f"{name:16}{cells}")


def _cell(microseconds: float | None, floor: float) -> str:
    if microseconds is None:
        return f"{'-':>15}"
    return f"{microseconds:8.{1 if microseconds < 10_000 else 0}f}{microseconds / floor:6.2f}x"


def script() -> None:
    """Print what the slides' script takes from start to end, and what capturing its step takes."""
    print("The slides' script, whole process: 50 epochs, batch 32, validation after each")
    print(f"{'':16}{'seconds':>10}{'x ours':>10}{'peak memory':>15}{'test accuracy':>16}")
    ours = None
    for library, (name, modules) in LIBRARIES.items():
        if missing := [module for module in modules if importlib.util.find_spec(module) is None]:
            print(f"({name} is left out; not installed: {', '.join(missing)})")
            continue
        runs: list[tuple[float, float, float]] = []
        while not runs or (len(runs) < 3 and runs[0][0] < 30):
            runs.append(_run_script(library))
        seconds, peak, accuracy = (statistics.median(column) for column in zip(*runs, strict=True))
        ours = ours or seconds
        print(f"{name:16}{seconds:10.2f}{seconds / ours:10.1f}{peak:12.0f} MB{accuracy:16.3f}")
    captures = [measure("capture", workload=SMALL_WORKLOADS["l2_b32"]) for _ in range(5)]
    print(f"Capturing the step of l2_b32, first call less second: {statistics.median(captures):.1f} ms")


def _run_script(library: str) -> tuple[float, float, float]:
    """Run the script to its end; return seconds, MB, and the accuracy that it prints."""
    command, environment = [sys.executable, HERE / "script.py", library], _environment()
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return seconds, usage.ru_maxrss / scale, float(printed.split()[-1])


def scaling(rounds: int) -> None:
    """Print how the time of a step of ours, jitted, grows with depth and with the batch."""
    by_depth = [((32,) * (depth + 1), BATCH, "sgd", True) for depth in DEPTHS]
    by_batch = [(TWO, batch, "sgd") for batch in BATCHES]
    found = measure("scaling", workloads=by_depth + by_batch, rounds=rounds)
    head = f"{'µs a step':>14}{'x floor':>10}{'ns each':>12}{'capture, ms':>14}"
    for title, sizes, rows in (
        ("Layers 32 -> 32, batch 32", DEPTHS, found[: len(DEPTHS)]),
        ("Batch, 784 -> 10 -> 10", BATCHES, found[len(DEPTHS) :]),
    ):
        print(f"{title:26}{head}")
        for size, row in zip(sizes, rows, strict=True):
            floor, ours, milliseconds = row.values()
            each = ours / size * 1e3
            print(f"{size:<26,}{ours:14,.1f}{ours / floor:10.2f}{each:12,.0f}{milliseconds:14,.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20, help="turns of each engine (default 20)")
    parser.add_argument("--only", choices=SECTIONS, help="one part of the table instead of all")
    parser.add_argument("--engines", help="names of engines, separated by commas, instead of all")
    options = parser.parse_args()
    missing = measure("installed")
    wanted = [name.strip() for name in options.engines.split(",")] if options.engines else list(missing)
    if unknown := set(wanted) - set(missing):
        parser.error(f"there are no engines {sorted(unknown)}; there are {list(missing)}")
    for name in wanted:
        if missing[name]:
            print(f"({name} is left out; not installed: {', '.join(missing[name])})")
    engines = [name for name in wanted if not missing[name]]
    runs = {
        "steps": lambda: steps(engines, options.rounds),
        "script": script,
        "scaling": lambda: scaling(options.rounds),
    }
    for i, section in enumerate([options.only] if options.only else SECTIONS):
        print("\n" * bool(i), end="")
        runs[section]()


if __name__ == "__main__":
    main()
