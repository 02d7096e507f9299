"""`Model`: everything that `Sequential` can, for a model whose `call` is the user's own."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from own_layers import Net

from tinygrad_edu import Tensor, nn, viz
from tinygrad_edu.nn import losses

RNG = np.random.default_rng(0)
X = RNG.normal(size=(45, 5)).astype(np.float32)
Y = np.sin(X[:, :1])
CLASSES = np.arange(45) % 3


def test_a_model_of_ones_own_has_it_all(tmp_path: Any, capsys: Any) -> None:
    model, twin = Net(seed=0), Net(seed=1)
    model.summary()
    assert "0 (unbuilt)" in capsys.readouterr().out
    model.compile("adam", "mse", metrics=["mae"])
    path = viz.WeightPath()
    history = model.fit(X, Y, epochs=20, verbose=0, seed=0, callbacks=path, validation_split=0.2)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert sorted(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert len(path.points) == 21
    assert model.captured_step.traces <= 2
    assert [w.name for w in model.parameters] == ["dense.W", "dense.b", "dense_1.W", "dense_1.b"]
    assert model.evaluate(X, Y)[0] == pytest.approx(np.mean((model.predict(X) - Y) ** 2), rel=1e-5)
    model.train_on_batch(X, Y)
    model.save_weights(tmp_path / "net")
    twin(X)
    twin.load_weights(tmp_path / "net")
    for same in (twin, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(same.predict(X), model.predict(X))
    model.summary()
    assert "dense_1 (Dense)    (None, 1)                9\n" in capsys.readouterr().out
    assert isinstance(model(X), Tensor)


def test_a_model_of_ones_own_is_the_chain_it_computes() -> None:
    def run(model: Any, eagerly: bool) -> Any:
        model.compile(nn.SGD(0.1, momentum=0.9), "mse", run_eagerly=eagerly)
        return model.fit(X, Y, epochs=3, verbose=0, seed=0).history["loss"], model.get_weights()

    chain = nn.Sequential([nn.Dense(8, "relu"), nn.Dense(1)], seed=0)
    expected, weights = run(chain, True)
    for model, eagerly in ((Net(seed=0), True), (Net(seed=0), False)):
        found, own = run(model, eagerly)
        assert found == expected
        assert all(np.array_equal(a, b) for a, b in zip(own, weights, strict=True))


def test_a_layer_that_no_step_uses_does_not_stop_training() -> None:
    class Spare(Net):
        def __init__(self) -> None:
            super().__init__()
            self.later = nn.Dense(3)

    model = Spare()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    with pytest.raises(RuntimeError, match="layer 'dense_2' has no parameters before it is built"):
        model.get_weights()


@pytest.mark.parametrize("eagerly", [True, False])
@pytest.mark.parametrize("kind", [list, dict])
def test_a_model_of_several_inputs(kind: Any, eagerly: bool) -> None:
    class Siamese(nn.Model):
        def __init__(self) -> None:
            super().__init__(seed=0)
            self.words, self.top = nn.Dense(4, "tanh"), nn.Dense(1)

        def call(self, inputs: Any) -> Any:
            a, b = inputs.values() if isinstance(inputs, dict) else inputs
            return self.top(self.words(a) - self.words(b))

    given = {"a": X, "b": X[::-1]} if kind is dict else [X, X[::-1]]
    model = Siamese()
    model.compile(nn.SGD(0.1), "mse", run_eagerly=eagerly)
    history = model.fit(given, Y, epochs=10, verbose=0, seed=0, validation_split=0.2).history
    assert history["loss"][-1] < history["loss"][0]
    assert model.predict(given).shape == (45, 1)
    assert model.evaluate(given, Y) < history["loss"][0]
    shorter = {"a": X, "b": X[:3]} if kind is dict else [X, X[:3]]
    with pytest.raises(ValueError, match=r"all inputs need as many examples, and these have \[45, 3\]"):
        model.predict(shorter)


def test_validation_split_rounds_as_keras_does() -> None:
    sizes: list[int] = []
    model = nn.Sequential([nn.Dense(1, input_dim=5)])
    model.compile("sgd", "mse")
    count = nn.LambdaCallback(on_batch_begin=lambda batch, logs: sizes.append(batch))
    model.fit(X, Y, batch_size=1, validation_split=0.3, verbose=0, callbacks=count)
    assert len(sizes) == 31
    with pytest.raises(ValueError, match=r"validation_split=0.99 leaves none of 45 examples"):
        model.fit(X, Y, validation_split=0.99, verbose=0)


# Labels ----------------------------------------------------------------------------------------------------


def test_losses_say_which_labels_they_take() -> None:
    declared = {name: loss.labels for name, loss in losses.LOSSES.items()}  # type: ignore[attr-defined]
    assert (
        declared["mse"] == declared["mean_absolute_error"] == declared["binary_crossentropy"] == ("numbers",)
    )
    assert declared["categorical_crossentropy"] == ("probabilities",)
    assert declared["sparse_categorical_crossentropy"] == ("classes",)
    assert declared["softmax_cross_entropy"] == ("classes", "probabilities")
    with pytest.raises(ValueError, match="labels are 'numbers', 'classes', 'probabilities', and not 'words'"):
        losses.labels("words")  # type: ignore[arg-type]


def test_a_loss_of_ones_own_may_say_which_labels_it_takes() -> None:
    seen: list[Any] = []

    def fit(loss: Any, y: Any) -> Any:
        model = nn.Sequential([nn.Dense(3, "softmax", input_dim=5)])
        model.compile("sgd", loss, run_eagerly=True)
        model.fit(X, y, verbose=0)
        return seen[-1]

    def silent(y_true: Any, y_pred: Any) -> Any:
        seen.append(y_true.dtype)
        return np.mean(y_pred)

    @losses.labels("numbers")
    def of_numbers(y_true: Any, y_pred: Any) -> Any:
        return silent(y_true, y_pred)

    @losses.labels("classes")
    def of_classes(y_true: Any, y_pred: Any) -> Any:
        return silent(y_true, y_pred)

    @losses.labels("probabilities")
    def of_rows(y_true: Any, y_pred: Any) -> Any:
        return silent(y_true, y_pred)

    assert fit(silent, CLASSES) == CLASSES.dtype
    assert fit(of_numbers, CLASSES) == np.float32
    assert fit(of_classes, CLASSES) == CLASSES.dtype
    with pytest.raises(ValueError, match="labels for 3 classes must be 0 to 2, and that of example 2 is 3"):
        fit(of_classes, CLASSES + 1)
    assert fit(silent, np.eye(3)[CLASSES] * 2) == np.float32
    with pytest.raises(ValueError, match="row 0 sums to 2"):
        fit(of_rows, np.eye(3)[CLASSES] * 2)
