"""Numbers read out of Tensors: a warning where a gradient is lost, none where a number was asked for."""

import array
import cmath
import json
import math
import statistics
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor

w = Tensor(2.0, requires_grad=True, name="w")
v = Tensor([1.0, 2.0], requires_grad=True, name="v")


def written_into() -> Any:
    out = np.zeros(2)
    out[0] = v[0]
    return out


def written_at_a_count(i: float = 1.0) -> Any:
    out = np.zeros(2)
    out[int(i)] = w
    return out


TAKEN: dict[str, Callable[[], Any]] = {
    "math.sin(w)": lambda: w * math.sin(w),
    "math.pow(w, 2)": lambda: math.pow(w, 2),
    "math.fsum([w, w])": lambda: math.fsum([w, w]),
    "list(map(math.exp, [w]))": lambda: list(map(math.exp, [w])),
    "np.float64(w)": lambda: np.float64(w),
    "cmath.exp(w)": lambda: cmath.exp(w),
    'array.array("d", [w])': lambda: array.array("d", [w]),
    "out[0]": written_into,
    "out[int(i)]": written_at_a_count,
    "math.sqrt(w % 3)": lambda: math.sqrt(w % 3),
    "math.pow(w, int(2.0))": lambda: math.pow(w, int(2.0)),
}
GIVEN_BACK: dict[str, Callable[[], Any]] = {
    "np.multiply": lambda: w * float(np.sum(v)),
    "np.add": lambda: np.add(v.sum().item(), w),
    "np.power": lambda: w ** float(v[0]),
    "np.clip": lambda: np.clip(v, v[0].item(), 5.0),
}
ASKED: dict[str, Callable[[], Any]] = {
    "float": lambda: float(np.sum(v)),
    "item": lambda: v.sum().item() / 2,
    "format": lambda: f"{w:.3f}",
    "percent": lambda: "%.3f" % w,  # noqa: UP031
    "str.format": lambda: "{:.1f}".format(w),  # noqa: UP032
    "print": lambda: print(w, v[0]),
    "map": lambda: list(map(float, [w, w])),
    "round": lambda: round(float(w), 2),
    "isnan": lambda: math.isnan(w),
    "isfinite": lambda: math.isfinite(np.sum(v)),
    "bool": lambda: bool(w > 1),
    "int": lambda: int(w),
    "detached": lambda: w * math.sin(w.detach()),
    "detached and read": lambda: w * float(v.detach()[0]),
    "a number of its own": lambda: w * (float(v[0]) + 1),
    "no number of a Tensor": lambda: w * 2.0,
    "less": lambda: w < float(w),
    "max": lambda: max(w, w.item()),
    "equal": lambda: w == float(w),
    "isclose": lambda: np.isclose(w, float(w)),
    "a Tensor without gradient": lambda: w.detach() * float(w),
    "several lines": lambda: (
        "%.3f"  # noqa: UP031
        % w
    ),
    "unpacked": lambda: [a + b for a, b in [map(float, [w, w])]],
    "floor": lambda: math.floor(w),
    "json": lambda: json.dumps({"w": w}, default=float),
    "statistics": lambda: statistics.fmean([w, w]),
}


@pytest.mark.parametrize("expression", TAKEN)
def test_a_number_that_was_not_asked_for_warns_and_names_the_expression(expression: str) -> None:
    with pytest.warns(tg.ScalarWarning) as caught:
        TAKEN[expression]()
    assert str(caught[0].message).startswith(f"{expression} takes a number out of a Tensor")
    assert caught[0].filename == __file__


@pytest.mark.parametrize("call", GIVEN_BACK)
def test_a_number_that_was_read_and_meets_a_tensor_warns(call: str) -> None:
    with pytest.warns(tg.ScalarWarning, match=f"^{call} is given a number that was read out of a Tensor"):
        GIVEN_BACK[call]()


@pytest.mark.parametrize("reading", ASKED)
def test_a_number_that_was_asked_for_does_not_warn(reading: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ASKED[reading]()
    assert not caught


def test_nothing_warns_where_nothing_is_recorded() -> None:
    number = w.item()
    with tg.no_grad():
        math.sin(w)
        assert float(w * number) == 4
        assert float(w * float(w)) == 4


def test_numbers_are_forgotten_after_a_while() -> None:
    number = float(w)
    kept = [float(v[0]) for _ in range(100)]
    assert float(np.sum(w * number)) == 4
    assert len(kept) == 100


def test_it_warns_once_for_each_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            math.sin(w)
    assert len(caught) == 1


def test_a_line_that_nobody_can_read_does_not_warn() -> None:
    program = compile("w * math.sin(w)", "<nowhere>", "eval")
    assert float(eval(program, {"w": w, "math": math})) == 2 * math.sin(2)


def test_numbers_are_read_by_many_threads() -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            for _ in range(20_000):
                w.item()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
