"""Each demo runs from the command line, writes what it says, and shows what it claims."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DEMOS = Path(__file__).parent.parent / "demos"
COURSE_SCRIPT = """
x_train,y_train,x_test,y_test=process_data()

model=Sequential()

model.add(Dense(10,input_dim=784,activation='relu'))

model.add(Dense(10,activation='softmax'))

model.compile(optimizer=SGD(lr=0.1),
              loss='categorical_crossentropy',
              metrics=['categorical_accuracy'])

traj=model.fit(x_train,
              y_train,
              epochs=50,
              batch_size=32,
              validation_data=(x_test, y_test),
              shuffle=True,verbose=0)

plt.plot(traj.history['loss'],linewidth=4,label='loss')

plt.plot(traj.history['categorical_accuracy'],linewidth=4,label='accuracy')

plt.legend()
"""

ALONE = """
import runpy
import sys

import numpy as np

program = runpy.run_path(sys.argv[1])["program"]
rng = np.random.default_rng(0)
x, y = rng.random((32, 784), np.float32), np.eye(10, dtype=np.float32)[rng.integers(0, 10, 32)]
parameters = rng.normal(0, 0.1, 7960).astype(np.float32)
new_parameters = np.empty_like(parameters)
W1, b1, W2, b2 = np.split(parameters, [7840, 7850, 7950])
W1, W2 = W1.reshape(784, 10), W2.reshape(10, 10)
(loss,) = program()(
    x=x, y=y, learning_rate=0.1, parameters=parameters, W1=W1, b1=b1, W2=W2, b2=b2,
    new_parameters=new_parameters,
)

h = np.maximum(x @ W1 + b1, 0)
p = np.exp(h @ W2 + b2) / np.exp(h @ W2 + b2).sum(axis=1, keepdims=True)
d2 = (p - y) / 32
d1 = d2 @ W2.T * (h > 0)
gradients = [(x.T @ d1).ravel(), d1.sum(axis=0), (h.T @ d2).ravel(), d2.sum(axis=0)]
np.testing.assert_allclose(loss, -np.sum(y * np.log(p)) / 32, rtol=1e-5)
np.testing.assert_allclose(new_parameters, parameters - 0.1 * np.concatenate(gradients), rtol=1e-4, atol=1e-6)
print([name for name in sys.modules if name.startswith("tinygrad_edu")])
"""


def run(demo, out, *arguments):
    """Run a demo as a user would, and return what it printed."""
    command = [sys.executable, "-W", "error", str(DEMOS / demo), "--out", str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(pattern, printed):
    return [float(number) for number in re.findall(pattern, printed)]


def assert_pictures(out, *names):
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    for name in names:
        content = (out / name).read_bytes()
        assert content.startswith(b"\x89PNG" if name.endswith(".png") else b"<?xml")
        assert len(content) > 5000


@pytest.mark.slow
def test_learn_digits(tmp_path):
    printed = run("learn_digits.py", tmp_path / "out", "--epochs", "5")
    (accuracy,) = numbers(r"Test accuracy: (\S+)%", printed)
    assert accuracy > 80  # chance is 10
    assert str(tmp_path / "out") in printed
    assert_pictures(tmp_path / "out", "graph.svg", "learning_curves.png", "weights.png")
    graph = (tmp_path / "out" / "graph.svg").read_text(encoding="utf-8")
    for name in ("hidden.W", "hidden.b", "output.W", "output.b", "labels", "loss", "relu", "matmul"):
        assert name in graph


@pytest.mark.slow
def test_softmax_regression(tmp_path):
    printed = run("softmax_regression.py", tmp_path, "--epochs", "1")
    likelihood, cross_entropy = numbers(r"(?:logarithm / N|log h) += (\S+)", printed)
    assert likelihood == cross_entropy > 0
    assert numbers(r"5! .* = (\S+)", printed) == [0.001286]
    (difference,) = numbers(r"largest difference .* = (\S+)", printed)
    assert difference < 1e-12
    batch, mini_batch, stochastic = numbers(r"test accuracy (\S+)", printed)
    assert 0.5 < batch < mini_batch
    assert stochastic > 0.8
    assert_pictures(tmp_path, "learning_curves.png", "weights.png", "confusion_matrix.png", "mistakes.png")


@pytest.mark.slow
def test_learning_behaviours(tmp_path):
    printed = run("learning_behaviours.py", tmp_path, "--epochs", "2", "--digits", "1000", "--seeds", "2")
    accuracies = numbers(r"test loss .* accuracy (\S+)", printed)
    assert len(accuracies) == 4
    assert min(accuracies[:3]) > 0.6  # two relu layers in batches of 1 may not learn, which is the lesson
    assert_pictures(tmp_path, "learning_behaviours.png")


@pytest.mark.slow
def test_optimizers(tmp_path):
    printed = run("optimizers.py", tmp_path, "--epochs", "2")
    accuracies = numbers(r"test accuracy (\S+)", printed)
    assert len(accuracies) == 5
    assert min(accuracies) > 0.75
    assert_pictures(tmp_path, "optimizers.png")


@pytest.mark.slow
def test_see_training(tmp_path):
    small = ["--epochs", "15", "--points", "200", "--layers", "2", "--grid", "7"]
    printed = run("see_training.py", tmp_path, "--data", "moons", *small)
    (accuracy,) = numbers(r"accuracy (\S+)%", printed)
    assert accuracy > 80  # chance is 50
    names = ["decision_boundary.png", "loss_surface.png", "gradient_flow.png", "activations.png"]
    assert re.findall(r"Wrote (.*)", printed) == [str(tmp_path / name) for name in names]
    assert_pictures(tmp_path, *names)


@pytest.mark.slow
def test_capture(tmp_path):
    printed = run("capture.py", tmp_path, "--epochs", "2")
    assert "equal, bit for bit, after training in all ways that record: True\n" in printed
    eager, captured, by_hand, compiled = numbers(r"\d µs +\S+ +(\S+)", printed)
    assert eager == captured == compiled == pytest.approx(by_hand, rel=1e-4)
    assert captured < 1  # chance is log 10 = 2.3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compiled_step.py", "step.py"]
    source = (tmp_path / "step.py").read_text(encoding="utf-8")
    assert printed.startswith(source)
    assert re.findall(r"^.*\bimport\b.*$", source, re.MULTILINE) == ["import numpy as np"]
    alone = [sys.executable, "-I", "-W", "error", "-c", ALONE, str(tmp_path / "step.py")]
    done = subprocess.run(alone, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.slow
def test_the_keras_script_is_the_courses(tmp_path):
    assert COURSE_SCRIPT in (DEMOS / "keras_script.py").read_text(encoding="utf-8")
    printed = run("keras_script.py", tmp_path)
    (loss,) = numbers(r"Training loss ([\d.]+)", printed)
    (accuracy,) = numbers(r"Test accuracy: (\S+)%", printed)
    assert loss < 0.1
    assert accuracy > 80
    assert_pictures(tmp_path, "learning_curve.png")


@pytest.mark.parametrize(
    "demo",
    [
        "learn_digits",
        "softmax_regression",
        "learning_behaviours",
        "optimizers",
        "see_training",
        "keras_script",
        "capture",
    ],
)
def test_demos_explain_themselves_and_stay_short(demo):
    source = (DEMOS / f"{demo}.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) < 120
    printed = run(f"{demo}.py", "nowhere", "--help")
    assert "--out" in printed
    assert source.split('"""')[1].splitlines()[0][:30] in printed


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
