"""Random programs: what a step computes, updates, keeps and returns is the same captured, bit for bit."""

from typing import Any

from hypothesis import given
from programs import assert_captured_equals_eager, recipes


@given(recipe=recipes)
def test_captured_steps_equal_eager_steps(recipe: Any) -> None:
    assert_captured_equals_eager(recipe, compiled=False)
