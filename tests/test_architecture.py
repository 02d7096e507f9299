"""The house: what is public, which room may import which, and that every room says what lives in it."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import tinygrad_edu as tg

PACKAGE = Path(tg.__file__).parent

# from the ground up: a room imports from rooms below it, also where it does so only when it is asked
HOUSE = [
    ("containers", "callsites", "state"),
    ("rules",),
    ("keeping", "scalars"),
    ("recording",),
    ("source", "tracing", "declared", "backward"),
    ("forward", "at", "anomaly"),
    ("tensor", "random"),
    ("transforms", "numpy", "data"),
    ("special", "distributions"),
    ("capture",),
    ("nn",),
    ("viz",),
    ("testing",),
]
LEVELS = {room: level for level, rooms in enumerate(HOUSE) for room in rooms}
# what shows itself in a notebook asks for its picture, which is made further up, when it is shown
UPWARDS = {("tensor", "viz"), ("nn", "viz")}

PUBLIC = [
    *(
        "CaptureError",
        "NoGradientRule",
        "RULES",
        "ScalarWarning",
        "Tensor",
        "checkpoint",
        "constant",
        "data",
        "define",
    ),
    *(
        "detect_anomaly",
        "distributions",
        "elementwise_grad",
        "explain",
        "grad",
        "hessian",
        "hvp",
        "jacobian",
        "jit",
    ),
    *("jvp", "nn", "no_grad", "opaque", "primitive", "random", "rule", "scope"),
    *("special", "stop_gradient", "testing", "value_and_grad", "viz", "vjp"),
]
PUBLIC_IN = {
    "data": "batches mnist one_hot process_data read_idx write_idx",
    "testing": "check_constant check_gradient numerical_gradient numerical_jvp numerical_vjp",
    "nn": """
        Activation Adagrad Adam Callback Dense Dropout EarlyStopping Flatten History Input
        LambdaCallback Layer Model Optimizer RMSprop SGD Sequential TerminateOnNaN activations
        binary_crossentropy callbacks categorical_crossentropy initializers layers leaky_relu linear
        log_softmax losses
        mean_absolute_error mean_squared_error metrics optimizers relu schedules set_random_seed
        sigmoid sigmoid_cross_entropy softmax softmax_cross_entropy softplus
        sparse_categorical_crossentropy tanh
    """,
    "viz": """
        GradientNorms Snapshots WeightPath activations compare_optimizers confusion_matrix
        decision_boundary draw explore gradient_flow learning_curves loss_surface mimebundle
        predictions text weights
    """,
}


def room_of(module: str) -> str:
    """Return the room that a module is in: the first part of its name after the package's."""
    return [*module.split("."), "__init__"][1]


def imports(file: Path) -> Iterator[tuple[str, str, int]]:
    """Go through what a file imports from the package, lazily too: both rooms, and the line."""
    here = ["tinygrad_edu", *file.relative_to(PACKAGE).with_suffix("").parts]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in for_types:
            base = here[: -node.level] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            for target in [name] if node.module else [f"{name}.{alias.name}" for alias in node.names]:
                if target.startswith("tinygrad_edu."):
                    yield room_of(".".join(here)), room_of(target), node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("tinygrad_edu."):
                    yield room_of(".".join(here)), room_of(alias.name), node.lineno


def arrows() -> list[tuple[str, str, str]]:
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        if file != PACKAGE / "__init__.py" and "__main__" not in file.name:
            for room, other, line in imports(file):
                if room != other:
                    found.append((room, other, f"{file.relative_to(PACKAGE)}:{line}"))
    return found


def test_every_room_stands_in_the_house() -> None:
    parts = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/*.py")
    }
    assert parts - {"__init__", "tinygrad_edu"} == set(LEVELS)


def test_imports_point_downwards() -> None:
    upwards = [arrow for arrow in arrows() if LEVELS[arrow[1]] >= LEVELS[arrow[0]]]
    assert [arrow for arrow in upwards if arrow[:2] not in UPWARDS] == []
    assert {arrow[:2] for arrow in upwards} == UPWARDS  # and none is listed that is gone


def test_the_map_of_the_house_is_drawn_as_it_stands() -> None:
    page = (PACKAGE.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    places = [page.index(f"`{room}`" if room in ("numpy", "data") else f"`{room}") for room in LEVELS]
    assert len(places) == len(LEVELS)


@pytest.mark.parametrize("module", ["", *PUBLIC_IN])
def test_public_names(module: str) -> None:
    room = importlib.import_module(f"tinygrad_edu.{module}" if module else "tinygrad_edu")
    expected = sorted(PUBLIC_IN[module].split() if module else PUBLIC)
    assert sorted(room.__all__) == expected
    assert [name for name in dir(room) if name != "__version__"] == expected
    for name in expected:
        assert getattr(room, name) is not None


def test_every_module_says_what_lives_here() -> None:
    for file in PACKAGE.rglob("*.py"):
        assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), file
