"""The demos that train networks refuse counts that would leave nothing to show."""

import subprocess
import sys
from pathlib import Path

import pytest

DEMOS = Path(__file__).parent.parent / "demos"


@pytest.mark.parametrize(
    ("demo", "option"),
    [("learn_digits", "--epochs"), ("learning_behaviours", "--epochs"), ("learning_behaviours", "--seeds")],
)
@pytest.mark.parametrize("value", ["0", "-3", "many"])
def test_counts_start_at_one(demo: str, option: str, value: str, tmp_path: Path) -> None:
    command = [sys.executable, str(DEMOS / f"{demo}.py"), f"{option}={value}", f"--out={tmp_path / 'out'}"]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert finished.returncode == 2
    assert f"argument {option}: needs a whole number from 1 up, and got {value}" in finished.stderr
    assert not (tmp_path / "out").exists()
