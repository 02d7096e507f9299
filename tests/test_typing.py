"""What users' type checkers see: a program of theirs, and the stub where NumPy's functions know Tensors."""

import ast
import importlib
import os
import runpy
import subprocess
import sys
import typing
from pathlib import Path

import numpy
import pytest
from cases import strategy_for
from conftest import PACKAGE_RULES
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinygrad_edu.numpy as handed_on
from tinygrad_edu import Tensor
from tinygrad_edu.recording import tensors_in
from tinygrad_edu.rules import CONSTANT

HERE = Path(__file__).parent
PROGRAM = HERE / "typing" / "user_program.py"
STUB = ast.parse((HERE.parent / "tinygrad_edu" / "numpy.pyi").read_text(encoding="utf-8"))


def test_mypy_accepts_a_users_program():
    pytest.importorskip("mypy")
    told = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", "--strict", "--follow-imports=silent", str(PROGRAM)],
        env={**os.environ, "MYPYPATH": str(HERE.parent)},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_the_types_of_the_users_program_hold_when_it_runs(monkeypatch):
    def check(value, claimed):
        claimed = getattr(claimed, "__value__", claimed)  # what NDArray stands for
        if claimed is not typing.Any:
            assert isinstance(value, typing.get_origin(claimed) or claimed)

    monkeypatch.setattr(typing, "assert_type", check)
    runpy.run_path(str(PROGRAM))


def stubbed(body):
    return {line.target.id: line.annotation.id for line in body if isinstance(line, ast.AnnAssign)}


LINALG, FFT = (
    stubbed(room.body)
    for room in STUB.body
    if isinstance(room, ast.ClassDef) and room.name in ("_Linalg", "_FFT")
)
NAMES = {name: kind for name, kind in stubbed(STUB.body).items() if kind not in ("_Linalg", "_FFT")}
ROOMS = [(numpy, NAMES), (numpy.linalg, LINALG), (numpy.fft, FFT)]
# functions in the table of rules whose results are no Tensors, so that NumPy's stubs are right about them
# fmt: off
NO_TENSORS = {
    "allclose", "array_equal", "array_equiv", "shape", "ndim", "size", "iscomplexobj", "isrealobj",
    "result_type", "can_cast", "common_type", "min_scalar_type", "einsum_path", "diag_indices_from",
    "tril_indices_from", "triu_indices_from", "save", "savez", "savez_compressed", "savetxt", "shares_memory",
    "may_share_memory", "array_repr", "array_str", "array2string", "isnat",
}
# fmt: on
NAMED_TUPLES = {"eigh", "qr", "slogdet", "svd", "lstsq"}  # in linalg, where what is not named is Any


def test_every_name_is_numpys_own_object():
    for name, _ in [*NAMES.items(), ("ndarray", ""), ("pi", ""), ("linalg", ""), ("__version__", "")]:
        assert getattr(handed_on, name) is getattr(numpy, name), name
    for room, names in ROOMS:
        assert [name for name in names if not hasattr(room, name)] == []
    assert set(numpy.__all__) <= set(dir(handed_on))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = handed_on.nonsense
    with pytest.raises(ImportError):  # or NumPy's rooms would be made a second time
        importlib.import_module("tinygrad_edu.numpy.linalg")


def test_the_stub_names_every_function_with_a_rule():
    missing = {
        name
        for room, names in ROOMS
        for name in set(dir(room)) - set(names) - NO_TENSORS - NAMED_TUPLES
        if callable(getattr(room, name)) and getattr(room, name) in PACKAGE_RULES
    }
    assert missing == set()


def as_tensors(arg):
    if isinstance(arg, list):
        return [as_tensors(item) for item in arg]
    return Tensor(arg) if isinstance(arg, numpy.ndarray) and arg.dtype.kind == "f" else arg


def described(room, names):
    """List the names in the stub that the recipes know how to call with floats."""
    functions = {name: getattr(room, name) for name in names}
    return [
        (name, fn, names[name])
        for name, fn in functions.items()
        if strategy_for(fn) is not None and PACKAGE_RULES[fn] is not CONSTANT
    ]


CALLED = [entry for room, names in ROOMS for entry in described(room, names)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # which newer NumPys say of np.fix
@pytest.mark.parametrize(("name", "fn", "kind"), CALLED)
@settings(max_examples=3)
@given(data=st.data())
def test_a_call_with_tensors_returns_what_the_stub_says(name, fn, kind, data):
    case = data.draw(strategy_for(fn))
    args = tuple(map(as_tensors, case.args))
    assume(tensors_in(args[:3]))
    result = (case.function or fn)(*args, **case.kwargs)
    if kind == "_Several":
        assert isinstance(result, (list, tuple))
        assert all(isinstance(part, Tensor) for part in result)
    elif kind != "Any":
        assert isinstance(result, Tensor)
