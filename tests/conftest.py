"""Shared settings: how many random examples, and the rules that the package itself registered."""

import importlib.util
import tempfile
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck
from hypothesis.configuration import set_hypothesis_home_dir

import tinygrad_edu

for part in ("tinygrad_edu.nn", "tinygrad_edu.distributions"):
    if importlib.util.find_spec(part) is not None:
        importlib.import_module(part)

# taken before any test or doctest registers rules of its own
PACKAGE_RULES = dict(tinygrad_edu.RULES)

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "tinygrad_edu_hypothesis")
quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
# by default the same examples on every run, so that a failure stays; in the deep profile new ones
hypothesis.settings.register_profile(
    "default",
    max_examples=15,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=quiet,
)
hypothesis.settings.register_profile(
    "deep", max_examples=500, deadline=None, database=None, print_blob=True, suppress_health_check=quiet
)
hypothesis.settings.load_profile("default")
