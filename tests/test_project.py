"""What a newcomer relies on: a light import, a complete public surface, pages that agree with the code."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PACKAGE_RULES

import tinygrad_edu as tg
from tinygrad_edu.rules import printed

ROOT = Path(__file__).parent.parent


def test_import_brings_numpy_and_nothing_heavier():
    heavy = ["graphviz", "matplotlib", "tqdm", "hypothesis", "scipy", "dask", "pytest"]
    code = f"import sys, tinygrad_edu; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_public_name_exists():
    for name in tg.__all__:
        assert getattr(tg, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = tg.nonsense


def test_the_page_of_rules_is_the_table_of_rules():
    page = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    fresh = subprocess.run(
        [sys.executable, "-m", "tinygrad_edu.rules.printed"], capture_output=True, text=True, check=True
    )
    assert page == fresh.stdout, "run: python -m tinygrad_edu.rules.printed > docs/rules.md"


def test_source_of_finds_every_one_line_rule():
    missing = [
        fn
        for fn, rule in PACKAGE_RULES.items()
        for vjp in rule.vjps
        if vjp is not None and vjp.__name__ == "<lambda>" and vjp.__module__.startswith("tinygrad_edu.rules")
        if not printed.source_of(vjp)
    ]
    assert missing == []
