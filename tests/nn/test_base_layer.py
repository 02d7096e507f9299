"""What every layer can rely on: its inputs, its state, whether it is trained, and errors that say where."""

from typing import Any

import numpy as np
import pytest
from own_layers import BatchNorm, Residual, Table

from tinygrad_edu import Tensor, jit, nn
from tinygrad_edu.nn.layers import is_training, training

RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 5)).astype(np.float32)
Y = (X[:, :1] * 2 - 1).astype(np.float32)
IDS = RNG.integers(0, 7, (48, 3))


class Seen(nn.Layer):
    """Keeps what it is given."""

    def call(self, *inputs: Any, **options: Any) -> Any:
        object.__setattr__(self, "got", (inputs, options))
        return inputs[0] if isinstance(inputs[0], Tensor) else Tensor([0.0])


# Inputs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (np.ones((2, 3)), np.float32),
        ([[1.0, 2.0]], np.float32),
        (np.ones((2, 3), np.float16), np.float32),
        ([[1, 2]], np.int64),
        (np.ones((2, 3), np.uint8), np.uint8),
        (np.ones((2, 3), bool), np.bool_),
        (Tensor([[1.0]]), np.float64),
        (Tensor([[1]]), np.int64),
    ],
)
def test_call_gets_tensors_of_floats_in_the_layers_dtype_and_of_the_rest_as_it_is(x: Any, kind: Any) -> None:
    layer = Seen()
    y = layer(x)
    (got,), _ = layer.got  # type: ignore[attr-defined]
    assert isinstance(got, Tensor)
    assert isinstance(y, Tensor)
    assert got.dtype == kind


def test_arrays_are_wrapped_without_a_copy() -> None:
    layer = Seen()
    layer(X)
    assert layer.got[0][0].data is X  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "x", [np.arange(6).reshape(2, 3), Tensor(np.arange(6).reshape(2, 3)), [[True, False, True]]]
)
def test_layers_that_take_floats_convert_integers_and_booleans(x: Any) -> None:
    for layer in (nn.Dense(2), nn.Activation("softmax"), nn.Dropout(0.5)):
        with training():
            assert layer(x).dtype == np.float32


def test_integers_stay_integers_in_a_model() -> None:
    for first in ([Table(7, 4)], [nn.Input((3,), dtype="int64"), Table(7, 4)]):
        model = nn.Sequential([*first, nn.Flatten(), nn.Dense(1)], seed=0)
        model.compile(nn.SGD(0.1), "mse")
        history = model.fit(IDS, Y, epochs=3, verbose=0).history["loss"]
        assert history[-1] < history[0]
        assert model.predict(IDS).shape == (48, 1)
        assert model.predict(IDS).dtype == np.float32
        assert model.evaluate(IDS, Y) < history[0]


def test_a_layer_that_takes_integers_refuses_floats() -> None:
    class Ids(Table):
        takes = "integers"

    model = nn.Sequential([Ids(7, 2, input_shape=(3,))])
    assert model(IDS).shape == (48, 3, 2)
    with pytest.raises(TypeError, match=r"takes integers, and got float64; write x.astype\(int\)"):
        model.predict(IDS * 1.0)
    with pytest.raises(TypeError, match="takes integers"):
        model(Tensor(IDS * 1.0))


def test_several_inputs() -> None:
    class Both(nn.Layer):
        def build(self, input_shape: Any) -> None:
            object.__setattr__(self, "shapes", input_shape)
            self.scale = self.add_weight("scale", ())

        def call(self, *inputs: Any) -> Any:
            if len(inputs) == 2:
                return inputs[0] + inputs[1]
            (x,) = inputs
            return x["a"] + x["b"] if isinstance(x, dict) else x[0] + x[1]

    a, b = np.ones((2, 3)), np.ones((2, 1))
    shapes = (None, 3), (None, 1)
    for given, expected in (
        ((a, b), list(shapes)),
        (([a, b],), list(shapes)),
        (((a, Tensor(b)),), shapes),
        (({"a": a, "b": b},), {"a": shapes[0], "b": shapes[1]}),
    ):
        layer = Both()
        assert layer(*given).tolist() == [[2.0] * 3] * 2
        assert layer.shapes == expected  # type: ignore[attr-defined]


def test_options_of_call_are_handed_on() -> None:
    layer = Seen()
    layer(X, mask=np.ones(3, bool), how="fast")
    options = layer.got[1]  # type: ignore[attr-defined]
    assert isinstance(options["mask"], Tensor)
    assert options["how"] == "fast"


# Errors ----------------------------------------------------------------------------------------------------


def test_errors_say_in_which_layer() -> None:
    class Forgets(nn.Layer):
        def call(self, x: Any) -> Any:
            x + 1

    class Breaks(nn.Layer):
        def call(self, x: Any) -> Any:
            return x @ np.ones((2, 2))

    class Two(nn.Layer):
        def call(self, x: Any) -> Any:
            return x, x

    block = Residual(5, name="block")
    with pytest.raises(
        TypeError, match=r"layer 'block/dense' takes one input, and got a list of 2; .*np.stack"
    ):
        block([X, X])
    block(X)
    with pytest.raises(ValueError, match="layer 'block/dense' takes 5 features"):
        block(X[:, :4])
    with pytest.raises(TypeError, match="takes one input, and got 2"):
        nn.Dense(2)(X, X)
    with pytest.raises(TypeError, match=r"'forgets' \(Forgets\) returned None; does it lack a return"):
        Forgets()(X)
    with pytest.raises(ValueError) as caught:
        nn.Sequential([nn.Dense(3), Breaks(name="bad")])(X)
    assert caught.value.__notes__ == ["(in layer 'bad', a Breaks, called on [(48, 3)])"]
    with pytest.raises(TypeError, match="'dense' takes one input, and got a tuple of 2"):
        nn.Sequential([Two(), nn.Dense(1)])(X)
    model = nn.Sequential([nn.Dense(1), Two()])
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(TypeError, match="returned a tuple of 2, and the loss takes one output"):
        model.fit(X, Y, verbose=0)
    first, second = model.predict(X)
    np.testing.assert_array_equal(first, second)


def test_a_result_is_a_tensor_whatever_call_returns() -> None:
    class Plain(nn.Layer):
        def call(self, x: Any) -> Any:
            return {"sum": float(np.sum(x.data)), "x": x.data}

    result = Plain()(X)
    assert all(isinstance(part, Tensor) for part in result.values())


# Building --------------------------------------------------------------------------------------------------


def test_build_called_directly_builds() -> None:
    layer = nn.Dense(2)
    layer.build((None, 5))
    W = layer.W
    assert layer.built
    layer(X)
    assert layer.W is W


def test_parameters_before_building() -> None:
    trunk, head = nn.Sequential([nn.Dense(3)]), nn.Dense(2)
    for layer in (trunk, head, Residual(5)):
        with pytest.raises(RuntimeError, match="dense' has no parameters before it is built; give it in"):
            _ = layer.parameters
    for layer in (nn.Flatten(), nn.Activation("relu"), nn.Dropout(0.5), Seen()):
        assert layer.parameters == []
    assert len(Residual(5, input_dim=5).parameters) == 4
    model = nn.Sequential([trunk, head])
    model.summary(lambda text: None)
    model.compile("sgd", "mse")
    model.fit(X, Y[:, [0, 0]], verbose=0)
    assert len(model.parameters) == 4


# State -----------------------------------------------------------------------------------------------------


def test_weights_that_are_not_trained() -> None:
    layer = BatchNorm(input_dim=5)
    assert [w.name for w in layer.trainable_parameters] == ["batch_norm.gain", "batch_norm.shift"]
    assert [w.name for w in layer.non_trainable_parameters] == ["batch_norm.mean", "batch_norm.variance"]
    assert len(layer.parameters) == 4
    layer.trainable = False
    layer.trainable = True
    assert [w.requires_grad for w in layer.parameters] == [True, True, False, False]


class Counter(nn.Layer):
    def build(self, input_shape: Any) -> None:
        self.calls = self.add_weight("calls", (), "zeros", trainable=False, dtype="int64")

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            self.calls.assign(self.calls + 1)
        return x


def test_training_changes_state_the_same_captured_and_eagerly() -> None:
    def run(eagerly: bool) -> Any:
        model = nn.Sequential([nn.Dense(4), BatchNorm(), Counter(), nn.Dropout(0.2), nn.Dense(1)], seed=0)
        model.compile(nn.Adam(0.01), "mse", run_eagerly=eagerly)
        history = model.fit(X, Y, batch_size=16, epochs=4, verbose=0, seed=1, validation_data=(X, Y)).history
        if not eagerly:
            assert model.captured_step.traces == 1
        return history, model.get_weights(), model

    (captured, weights, model), (eager, expected, _) = run(False), run(True)
    assert captured == eager
    for w, e in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(w, e)
    calls = model.layers[2].calls
    assert (calls.item(), calls.dtype) == (12, np.int64)
    mean = model.layers[1].mean.numpy().copy()
    assert np.any(mean != 0)
    model.predict(X)
    model.evaluate(X, Y)
    np.testing.assert_array_equal(model.layers[1].mean, mean)


def test_state_is_saved_with_the_weights(tmp_path: Any) -> None:
    def model() -> nn.Sequential:
        return nn.Sequential([nn.Dense(4, input_dim=5), BatchNorm(), nn.Dense(1)])

    trained, fresh = model(), model()
    trained.compile("sgd", "mse")
    trained.fit(X, Y, verbose=0)
    trained.save_weights(tmp_path / "state")
    fresh.load_weights(tmp_path / "state")
    np.testing.assert_array_equal(fresh.layers[1].variance, trained.layers[1].variance)
    np.testing.assert_array_equal(fresh.predict(X), trained.predict(X))


# Training or not -------------------------------------------------------------------------------------------


def test_call_is_told_whether_it_is_trained() -> None:
    told: list[bool] = []

    class Told(nn.Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            told.append(training)
            return x

    class Outer(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Told()

        def call(self, x: Any) -> Any:
            return self.inner(x)

    model = nn.Sequential([Outer(), nn.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    model(X)
    told.clear()
    model.fit(X, Y, batch_size=48, verbose=0)
    model.evaluate(X, Y, batch_size=48)
    model.predict(X, batch_size=48)
    model(X, training=True)
    assert not is_training()
    with training():
        model(X)
        model(X, training=False)
        assert is_training()
    assert told == [True, False, False, True, True, False]


def test_training_asked_for_inside_a_captured_function_makes_one_program() -> None:
    layer = nn.Dropout(0.5, seed=0)

    @jit
    def thinned(x: Any) -> Any:
        return np.sum(layer(x, training=True)) + np.sum(layer(x))

    x = np.ones((100, 100), np.float32)
    for _ in range(4):
        assert 18_000 < float(thinned(x)) < 22_000
    assert thinned.traces == 1
    with training():
        assert float(thinned(x)) != 20_000
    assert thinned.traces == 2
