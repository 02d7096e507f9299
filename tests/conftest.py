"""Shared settings: how many random examples, what examples are called, and which skips are let through."""

import importlib.util
import re
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis.configuration import set_hypothesis_home_dir

import tinygrad_edu
from tinygrad_edu.rules import function_name
from tinygrad_edu.rules.printed import source_of

for part in ("tinygrad_edu.nn", "tinygrad_edu.distributions"):
    if importlib.util.find_spec(part) is not None:
        importlib.import_module(part)

# taken before any test or doctest registers rules of its own
PACKAGE_RULES = dict(tinygrad_edu.RULES)

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "tinygrad_edu_hypothesis")
quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
common: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": quiet}
# by default the same examples on every run, so that a failure stays; in the other profiles new ones
hypothesis.settings.register_profile("default", max_examples=15, derandomize=True, **common)
hypothesis.settings.register_profile("fresh", max_examples=40, print_blob=True, **common)
hypothesis.settings.register_profile("deep", max_examples=500, print_blob=True, **common)
hypothesis.settings.load_profile("default")


def pytest_make_parametrize_id(val: Any) -> str | None:
    """Name an example by what it is: a function by its name, a lambda by its text, a value by its repr."""
    if isinstance(val, str):
        return None  # pytest's own way, which escapes what a terminal cannot show
    if isinstance(val, np.ndarray) and val.size > 4:
        text = f"{val.dtype} {val.shape}"
    elif callable(val) and hasattr(val, "__name__"):
        text = source_of(val) if val.__name__ == "<lambda>" else function_name(val)
    else:
        text = repr(val)
    if not text or re.search("0x[0-9a-f]{6}", text):  # an address differs between processes
        return None
    text = " ".join(text.removeprefix("builtins.").split())
    return text if len(text) <= 60 else text[:57] + "..."


# what no machine of ours can be made to have
UNAVOIDABLE = re.compile(r"GPU|Python in 3\.12|needs a script|needs signals")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail where something to install is missing")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    return refused((yield), item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    return refused((yield), collector.config)


def refused(report: Any, config: pytest.Config) -> Any:
    """Turn a skip into a failure, under --no-skips: a test that never ran has shown nothing."""
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and config.getoption("--no-skips") and not UNAVOIDABLE.search(str(report.longrepr)):
        report.outcome, report.longrepr = "failed", f"--no-skips: {report.longrepr[-1]}"
    return report


@pytest.fixture
def twice():
    """A function whose gradient rule fills an array, which symbols cannot follow."""

    def slope(g, y, x):
        filled = np.zeros_like(x)
        filled[:] = 2.0
        return g * filled

    @tinygrad_edu.primitive(slope)
    def twice(x):
        return x * 2.0

    return twice
