"""A program is all that an emitter needs: a second one, which interprets it call by call, gives the same."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
from hypothesis import given
from programs import OPTIMIZERS, assert_captured_equals_eager, recipes, trained

from tinygrad_edu.capture import jit
from tinygrad_edu.capture.program import Emitted, Emitter, Program
from tinygrad_edu.capture.traced import Traced


def interpreted(program: Program, title: str, names: dict[Traced, str]) -> Emitted:
    """Emit nothing: have a step make the calls of the program as they stand there."""
    resident = {value for residence in program.residences for value in residence.now}
    arguments = [value for value in program.inputs if value not in resident]
    arrays = [value for residence in program.residences for value in (*residence.now, *residence.new)]
    outputs = {value: i for i, value in enumerate(dict.fromkeys(program.handed_out()))}

    def step(*given: Any) -> Any:
        values: dict[Traced, Any] = dict(zip((*arguments, *arrays), given, strict=True))
        values |= {flat: np.empty(flat.shape, flat.dtype) for flat in program.flats}
        for call in program.calls:
            with np.errstate(**(call.errors or {})):
                values[call.out] = call.fn(*now(call.args, values), **now(call.kwargs, values))
            if call.out in program.places:
                flat, block = program.places[call.out]
                np.copyto(block.of(values[flat]), values[call.out])
        return tuple(np.copy(values[v]) if isinstance(v.example, np.ndarray) else values[v] for v in outputs)

    read = [tuple(range(len(residence.now))) for residence in program.residences]
    written = [tuple(range(len(residence.new))) for residence in program.residences]
    return Emitted(f"{title} {names}", lambda: step, arguments, read, written, outputs, 0, 0)


def now(value: Any, values: dict[Traced, Any]) -> Any:
    """Return an argument of a call with values for traced arrays."""
    if isinstance(value, Traced):
        return values[value]
    if isinstance(value, (list, tuple)):
        return type(value)(now(item, values) for item in value)
    if isinstance(value, dict):
        return {key: now(item, values) for key, item in value.items()}
    return slice(*now([value.start, value.stop, value.step], values)) if isinstance(value, slice) else value


SECOND: Emitter = interpreted


@given(recipe=recipes)
def test_random_steps_are_exact(recipe: Any) -> None:
    with patch.object(jit, "EMITTER", SECOND):
        assert_captured_equals_eager(recipe, compiled=False)


def test_a_model_trains_to_the_same_bits() -> None:
    make: Callable[[], Any]
    for make in OPTIMIZERS:
        with patch.object(jit, "EMITTER", SECOND):
            losses, parameters = trained(make())
        expected_losses, expected = trained(make(), run_eagerly=True)
        assert losses == expected_losses
        for got, wanted in zip(parameters, expected, strict=True):
            np.testing.assert_array_equal(got, wanted)
