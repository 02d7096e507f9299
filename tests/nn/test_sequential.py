"""Sequential: the course's script, Keras's bookkeeping, and training that fails loudly or not at all."""

import copy
import functools
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Tensor, nn
from tinygrad_edu.data import process_data
from tinygrad_edu.nn import SGD, Dense, Sequential, metrics

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 5)).astype(np.float32)
INTEGERS = np.argmax(X @ RNG.normal(size=(5, 3)), axis=1)
Y = np.eye(3, dtype=np.float32)[INTEGERS]


def classifier(optimizer: Any = "sgd", loss: Any = "categorical_crossentropy", **how: Any) -> Sequential:
    model = Sequential([Dense(4, "relu", input_dim=5), Dense(3, "softmax")], seed=0)
    model.compile(optimizer, loss, **{"metrics": ["categorical_accuracy"], **how})
    return model


# The course ------------------------------------------------------------------------------------------------


def test_the_script_of_the_slides() -> None:
    nn.set_random_seed(0)  # the slides have none
    x_train, y_train, x_test, y_test = process_data()
    model = Sequential()
    model.add(Dense(10, input_dim=784, activation="relu"))
    model.add(Dense(10, activation="softmax"))
    model.compile(optimizer=SGD(lr=0.1), loss="categorical_crossentropy", metrics=["categorical_accuracy"])
    traj = model.fit(
        x_train,
        y_train,
        epochs=2,
        batch_size=32,
        validation_data=(x_test, y_test),
        shuffle=True,
        verbose=0,
    )
    assert sorted(traj.history) == ["categorical_accuracy", "loss", "val_categorical_accuracy", "val_loss"]
    assert traj.epoch == [0, 1]
    assert traj.history["loss"][1] < traj.history["loss"][0] < 1.5
    assert traj.history["val_categorical_accuracy"][1] > 0.75


def test_softmax_regression_learns_the_digits() -> None:
    x_train, y_train, x_test, y_test = process_data()
    model = Sequential([Dense(10, input_dim=784, activation="softmax")], seed=0)
    model.compile(SGD(lr=0.1), "categorical_crossentropy", metrics=["categorical_accuracy"])
    history = model.fit(x_train, y_train, epochs=15, validation_data=(x_test, y_test), verbose=0, seed=0)
    assert 0.18 < history.history["loss"][-1] < 0.25
    assert 0.87 < history.history["val_categorical_accuracy"][-1] < 0.91


@pytest.mark.parametrize(("depth", "count"), [(1, "7,850"), (2, "7,960")])
def test_parameter_counts_of_the_slides(depth: int, count: str, capsys: Any) -> None:
    model = Sequential([Dense(10, input_dim=784), Dense(10)][:depth])
    model.summary()
    assert f"Total params: {count}\nTrainable params: {count}\nNon-trainable" in capsys.readouterr().out
    assert model.count_params() == int(count.replace(",", ""))


# One step, and an epoch, written out -----------------------------------------------------------------------


def test_training_is_gradient_descent_on_the_batches_in_order() -> None:
    model = Sequential([Dense(3, "softmax", input_dim=5, seed=0)])
    model.compile(SGD(0.1), "categorical_crossentropy", ["categorical_accuracy"])
    W, b = (values.astype(float) for values in model.get_weights())
    losses, hits = [], []
    for start in range(0, 70, 32):  # of 32, 32 and 6 examples
        x, y = X[start : start + 32].astype(float), Y[start : start + 32]
        z = x @ W + b
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        losses.append(-np.sum(y * np.log(p)))
        hits.append(np.sum(p.argmax(axis=1) == y.argmax(axis=1)))
        W, b = W - 0.1 * x.T @ (p - y) / len(x), b - 0.1 * np.sum(p - y, axis=0) / len(x)
    history = model.fit(X, Y, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], [sum(losses) / 70], rtol=1e-6)
    np.testing.assert_allclose(history["categorical_accuracy"], [sum(hits) / 70])
    for got, expected in zip(model.get_weights(), (W, b), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
        assert got.dtype == np.float32


def test_validation_is_evaluate_and_does_not_depend_on_batches() -> None:
    model = classifier()
    history = model.fit(X[:50], Y[:50], epochs=2, validation_data=(X[50:], Y[50:]), verbose=0).history
    whole = model.evaluate(X[50:], Y[50:], batch_size=20)
    parts = model.evaluate(X[50:], Y[50:], batch_size=3, return_dict=True)
    np.testing.assert_allclose(whole, [history["val_loss"][-1], history["val_categorical_accuracy"][-1]])
    np.testing.assert_allclose(list(parts.values()), whole, rtol=1e-6)
    p = model.predict(X[50:], batch_size=7)
    assert p.shape == (20, 3)
    np.testing.assert_allclose(whole[0], -np.mean(np.sum(Y[50:] * np.log(p), axis=1)), rtol=1e-5)
    np.testing.assert_allclose(whole[1], np.mean(p.argmax(1) == INTEGERS[50:]))


def test_validation_split_keeps_the_last_examples_aside() -> None:
    split, given = classifier(), classifier()
    first = split.fit(X, Y, validation_split=0.3, epochs=2, verbose=0, seed=1).history
    second = given.fit(X[:49], Y[:49], validation_data=(X[49:], Y[49:]), epochs=2, verbose=0, seed=1).history
    assert first == second
    both = classifier()  # where both are given, nothing is split off
    both.fit(
        X[:49], Y[:49], validation_data=(X[49:], Y[49:]), validation_split=0.5, epochs=2, verbose=0, seed=1
    )
    assert both.history.history == second
    with pytest.raises(ValueError, match="validation_split is the share"):
        split.fit(X, Y, validation_split=1.0)


def test_shuffling_visits_every_example_once_an_epoch_in_new_orders() -> None:
    seen: list[int] = []

    class Spy(nn.Layer):
        def call(self, x: Any) -> Any:
            seen.extend(x[:, 0].astype(int).tolist())
            return x

    model = Sequential([Spy(input_dim=1), Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    seen.clear()
    numbers = np.arange(70.0)[:, None] * 1.0
    model.fit(numbers, numbers * 0, epochs=2, batch_size=16, verbose=0)
    assert sorted(seen[:70]) == sorted(seen[70:]) == list(range(70))
    assert seen[:70] != seen[70:] != list(range(70))


def test_seeds_make_runs_repeat() -> None:
    def losses(model_seed: int | None, fit_seed: int | None) -> list[float]:
        model = Sequential(
            [Dense(4, "relu", input_dim=5), nn.Dropout(0.2), Dense(3, "softmax")], seed=model_seed
        )
        model.compile("sgd", "categorical_crossentropy")
        return model.fit(X, Y, epochs=2, verbose=0, seed=fit_seed).history["loss"]

    assert losses(0, None) == losses(0, None)
    assert losses(0, 1) == losses(0, 1) != losses(0, 2)
    assert losses(None, None) != losses(None, None)
    nn.set_random_seed(3)
    first = losses(None, None)
    nn.set_random_seed(3)
    assert losses(None, None) == first
    nn.set_random_seed(None)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("loss", ["categorical_crossentropy", "softmax_cross_entropy"])
def test_a_copied_model_trains_on_as_the_original_would(copied: Any, loss: str) -> None:
    model = classifier(nn.Adam(nn.schedules.CosineDecay(0.1, 50)), loss)
    if loss == "softmax_cross_entropy":
        model.layers[1].activation = nn.activations.linear
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[nn.EarlyStopping("loss")])
    before = model.get_weights()
    twin = copied(model)
    losses = twin.fit(X, Y, epochs=2, verbose=0, seed=0).history["loss"]
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert losses == model.fit(X, Y, epochs=2, verbose=0, seed=0).history["loss"]


def test_a_run_can_be_taken_up_again() -> None:
    once, twice = classifier(), classifier()
    whole = once.fit(X, Y, epochs=4, verbose=0, seed=0)
    twice.fit(X, Y, epochs=2, verbose=0, seed=0)
    rest = twice.fit(X, Y, epochs=4, initial_epoch=2, verbose=0, seed=0)
    assert rest.epoch == [2, 3]
    assert rest.history["loss"] == whole.history["loss"][2:]


# Losses and metrics of all kinds ---------------------------------------------------------------------------


def test_integer_labels_train_as_one_hot_ones_do() -> None:
    dense, sparse = classifier(), classifier(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    first = dense.fit(X, Y, epochs=3, verbose=0, seed=0).history
    second = sparse.fit(X, INTEGERS, epochs=3, verbose=0, seed=0).history
    np.testing.assert_allclose(first["loss"], second["loss"], rtol=1e-6)
    assert first["categorical_accuracy"] == second["accuracy"]


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", nn.softmax_cross_entropy])
def test_logits_train_as_probabilities_do(loss: Any) -> None:
    model = Sequential([Dense(4, "relu", input_dim=5), Dense(3)], seed=0)
    model.compile("sgd", loss)
    expected = classifier().fit(X, Y, epochs=3, verbose=0, seed=0).history["loss"]
    np.testing.assert_allclose(
        model.fit(X, Y, epochs=3, verbose=0, seed=0).history["loss"], expected, rtol=1e-6
    )


def test_logistic_regression() -> None:
    y = (X[:, 0] > 0).astype(int)
    model = Sequential([Dense(1, "sigmoid", input_dim=5)], seed=0)
    model.compile(nn.Adam(0.1), "binary_crossentropy", metrics=["accuracy", "binary_accuracy"])
    history = model.fit(X, y, epochs=30, verbose=0).history
    assert history["accuracy"] == history["binary_accuracy"]
    assert history["accuracy"][-1] > 0.95
    assert history["loss"][-1] < 0.2


def test_linear_regression_with_a_loss_and_metric_of_ones_own() -> None:
    def log_cosh(y_true: Any, y_pred: Any) -> Any:
        return np.log(np.cosh(y_pred - y_true))  # for each example; fit averages

    def worst(y_true: Any, y_pred: Any) -> Any:
        return np.max(np.abs(y_true - y_pred))

    model = Sequential([Dense(1, input_dim=5)], seed=0)
    model.compile(SGD(0.1), log_cosh, metrics=[worst, "mse", "mae"])
    y = (X @ np.arange(5.0))[:, None]
    history = model.fit(X, y, epochs=150, verbose=0).history
    assert list(history) == ["loss", "worst", "mse", "mae"]
    assert history["loss"][-1] < 1e-3
    assert history["mse"][-1] <= history["worst"][-1] ** 2
    np.testing.assert_allclose(model.layers[0].W.data[:, 0], np.arange(5.0), atol=0.05)


def test_accuracies() -> None:
    p = np.array([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2]])
    one_hot, integers = np.array([[0, 1, 0], [0, 1, 0]]), np.array([1, 1])
    for labels in (one_hot, integers, integers[:, None]):
        assert metrics.accuracy(labels, p).tolist() == [True, False]
    assert metrics.accuracy(np.array([[1], [1]]), np.array([[0.6], [0.4]])).tolist() == [1.0, 0.0]
    assert metrics.binary_accuracy(np.array([[1, 0]]), np.array([[0.6, 0.6]])).tolist() == [0.5]
    with pytest.raises(ValueError, match="for integer labels use sparse_categorical_accuracy"):
        metrics.categorical_accuracy(integers, p)
    with pytest.raises(ValueError, match="for one-hot labels use categorical_accuracy"):
        metrics.sparse_categorical_accuracy(one_hot, p)


def test_train_on_batch() -> None:
    model = classifier()
    before = model.evaluate(X, Y)
    assert model.train_on_batch(X, Y) == pytest.approx(before, rel=1e-5)
    assert model.evaluate(X, Y)[0] < before[0]


def test_lists_bytes_and_tensors_are_welcome() -> None:
    images = RNG.integers(0, 256, (20, 5)).astype(np.uint8)
    for x in (images, images.tolist(), Tensor(images), images.astype(float)):
        model = classifier(nn.SGD(1e-4))
        losses = model.fit(x, Y[:20].tolist(), epochs=2, verbose=0, seed=0).history["loss"]
        assert model.parameters[0].dtype == np.float32
        assert (
            losses
            == classifier(nn.SGD(1e-4)).fit(images, Y[:20], epochs=2, verbose=0, seed=0).history["loss"]
        )
        assert model.predict(x).dtype == np.float32


# Callbacks and output --------------------------------------------------------------------------------------


def test_callbacks_are_told_everything_in_order() -> None:
    events: list[Any] = []

    class Spy(nn.Callback):
        def on_train_begin(self) -> None:
            events.append("begin")

        def on_epoch_begin(self, epoch: int) -> None:
            events.append(epoch)

        def on_batch_end(self, batch: int, logs: Any) -> None:
            events.append((batch, sorted(logs)))

        def on_train_end(self) -> None:
            events.append("end")

    ends: list[Any] = []
    model = classifier()
    say = nn.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append((epoch, logs["loss"])))
    history = model.fit(X, Y, batch_size=40, epochs=2, verbose=0, callbacks=[Spy(), say])
    names = ["categorical_accuracy", "loss"]
    assert events == ["begin", 0, (0, names), (1, names), 1, (0, names), (1, names), "end"]
    assert ends == list(enumerate(history.history["loss"]))
    with pytest.raises(TypeError, match="LambdaCallback knows no on_sunday; it takes on_train_begin"):
        nn.LambdaCallback(on_sunday=print)
    with pytest.raises(TypeError, match="callbacks needs Callback objects"):
        model.fit(X, Y, callbacks=[print], verbose=0)  # type: ignore[list-item]


def test_early_stopping_waits_and_goes_back_to_the_best() -> None:
    weights: list[Any] = []
    script = iter([3.0, 2.0, 2.5, 2.4, 9.0])

    class Script(nn.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            logs["val_loss"] = next(script)
            weights.append(self.model.get_weights())

    model = classifier()
    stop = nn.EarlyStopping(patience=2, restore_best_weights=True)
    history = model.fit(X, Y, epochs=50, verbose=0, callbacks=[Script(), stop])
    assert history.epoch == [0, 1, 2, 3]
    assert (stop.best_epoch, stop.stopped_epoch) == (1, 3)
    for got, best in zip(model.get_weights(), weights[1], strict=True):
        np.testing.assert_array_equal(got, best)


def test_early_stopping_on_accuracy_and_mistakes() -> None:
    stop = nn.EarlyStopping("categorical_accuracy", patience=0)
    stop.model = model = classifier()
    for epoch, value in enumerate([0.5, 0.6, 0.6]):
        stop.on_epoch_end(epoch, {"categorical_accuracy": value})
    assert stop.stopped_epoch == 2
    assert model.stop_training
    with pytest.warns(UserWarning, match="watches 'val_loss', and there are only loss, categorical_accuracy"):
        model.fit(X, Y, verbose=0, callbacks=[nn.EarlyStopping()])
    with pytest.raises(ValueError, match="mode must be"):
        nn.EarlyStopping(mode="best")


EVENTS = [name for name in vars(nn.Callback) if name.startswith("on_")]


class Everything(nn.Callback):
    """Notes each event, what it is about, and what the logs have."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        for name in EVENTS:
            setattr(self, name, functools.partial(self.note, name))

    def note(self, name: str, *details: Any) -> None:
        *numbers, logs = details
        self.seen.append((name.removeprefix("on_"), *numbers, *sorted(logs)))


def test_events_come_in_keras_order_with_keras_logs() -> None:
    spy, model = Everything(), classifier()
    model.fit(X, Y, batch_size=60, epochs=1, verbose=0, validation_data=(X[:9], Y[:9]), callbacks=spy)
    names = ("categorical_accuracy", "loss")
    both = (*names, "val_categorical_accuracy", "val_loss")
    assert spy.seen == [
        ("train_begin",),
        ("epoch_begin", 0),
        *(("train_batch_begin", 0), ("batch_begin", 0)),
        *(("train_batch_end", 0, *names), ("batch_end", 0, *names)),
        *(("train_batch_begin", 1), ("batch_begin", 1)),
        *(("train_batch_end", 1, *names), ("batch_end", 1, *names)),
        *(("test_begin",), ("test_batch_begin", 0), ("test_batch_end", 0, *names), ("test_end", *names)),
        ("epoch_end", 0, *both),
        ("train_end", *both),
    ]
    spy.seen.clear()
    model.evaluate(X, Y, batch_size=60, callbacks=[spy])
    batches = [event for n in (0, 1) for event in (("test_batch_begin", n), ("test_batch_end", n, *names))]
    assert spy.seen == [("test_begin",), *batches, ("test_end", *names)]
    spy.seen.clear()
    model.predict(X, batch_size=60, callbacks=spy)
    batches = [
        event for n in (0, 1) for event in (("predict_batch_begin", n), ("predict_batch_end", n, "outputs"))
    ]
    assert spy.seen == [("predict_begin",), *batches, ("predict_end",)]


def test_what_callbacks_write_is_in_the_history() -> None:
    def note(epoch: int, logs: Any) -> None:
        logs["rate"] = 0.1 * epoch

    begun: list[Any] = []
    say = nn.LambdaCallback(on_epoch_end=note, on_train_begin=lambda logs: begun.append(logs))
    history = classifier().fit(X, Y, epochs=3, verbose=0, callbacks=[say]).history
    assert history["rate"] == [0.0, 0.1, 0.2]
    assert begun == [{}]


def test_early_stopping_has_all_of_keras_options(capsys: Any) -> None:
    def run(values: list[float], **options: Any) -> Any:
        script = iter(values)
        scripted = nn.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(val_loss=next(script)))
        stop = nn.EarlyStopping(**options)
        history = classifier().fit(X, Y, epochs=len(values), verbose=0, callbacks=[scripted, stop])
        return history.epoch[-1], stop

    assert run([3.0, 2.0, 2.5, 2.4, 9.0], patience=2)[0] == 3
    assert run([3.0, 2.0, 1.0, 0.5, 0.4], patience=2, baseline=0.1)[0] == 4
    assert run([1.0, 2.0, 3.0, 0.5, 0.4], patience=1, start_from_epoch=3)[0] == 4
    last, stop = run([3.0, 2.0, 2.5, 2.4], patience=1, verbose=1, restore_best_weights=True)
    assert (last, stop.best, stop.best_epoch, stop.stopped_epoch) == (2, 2.0, 1, 2)
    printed = capsys.readouterr().out
    assert "Epoch 3: early stopping" in printed
    assert "best epoch: 2." in printed


@pytest.mark.parametrize("shape", [(70,), (70, 1)])
def test_labels_do_not_broadcast_in_a_loss_or_metric_of_ones_own(shape: Any) -> None:
    def squared(y_true: Any, y_pred: Any) -> Any:
        assert y_true.shape == y_pred.shape
        return np.mean((y_true - y_pred) ** 2)

    model = Sequential([Dense(1, input_dim=5)], seed=0)
    model.compile("sgd", squared, metrics=[squared])
    target = X[:, :1].reshape(shape)
    history = model.fit(X, target, epochs=30, verbose=0, validation_data=(X, target))
    assert history.history["loss"][-1] < 0.1
    assert model.train_on_batch(X, target)[0] == pytest.approx(model.evaluate(X, target)[0], rel=0.5)


def test_an_interruption_leaves_a_usable_model() -> None:
    def interrupt(batch: int, logs: Any) -> None:
        if model.history.epoch == [0] and batch == 1:
            raise KeyboardInterrupt

    model = classifier()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=9, verbose=0, callbacks=[nn.LambdaCallback(on_batch_end=interrupt)])
    assert model.history.epoch == [0]
    assert not nn.layers.is_training()
    assert all(param.grad is None for param in model.parameters)
    assert model.fit(X, Y, epochs=1, verbose=0).history["loss"][0] < model.history.history["loss"][0] * 2


def test_an_interruption_in_the_middle_of_an_update_leaves_no_gradients() -> None:
    class Interrupted(SGD):
        def rule(self, *details: Any) -> Any:
            if self.iterations == 1:
                raise KeyboardInterrupt
            return super().rule(*details)

    model = classifier(Interrupted(0.1), run_eagerly=True)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, verbose=0)
    assert all(param.grad is None for param in model.parameters)


def test_dropout_is_off_in_validation_and_prediction() -> None:
    model = Sequential([Dense(50, "relu", input_dim=5), nn.Dropout(0.5), Dense(3, "softmax")], seed=0)
    model.compile("sgd", "categorical_crossentropy")
    history = model.fit(X, Y, epochs=2, validation_data=(X, Y), verbose=0).history
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(X, Y), rel=1e-6)
    with nn.layers.training():
        assert model.evaluate(X, Y) == pytest.approx(history["val_loss"][-1], rel=1e-6)
        np.testing.assert_array_equal(model.predict(X), model.predict(X))


def test_gradients_left_over_do_not_leak_into_training() -> None:
    clean, dirty = classifier(), classifier()
    nn.categorical_crossentropy(Y, dirty(X)).backward()
    assert clean.fit(X, Y, verbose=0, seed=0).history == dirty.fit(X, Y, verbose=0, seed=0).history
    assert [w.tolist() for w in clean.get_weights()] == [w.tolist() for w in dirty.get_weights()]


def test_what_fit_prints(capsys: Any, monkeypatch: Any) -> None:
    model = classifier()
    model.fit(X, Y, epochs=2, verbose=0)
    assert capsys.readouterr() == ("", "")
    model.fit(X, Y, epochs=2, verbose=2)
    out, err = capsys.readouterr()
    assert [line.split(" - ")[0] for line in out.splitlines()] == ["Epoch 1/2", "Epoch 2/2"]
    assert "loss: " in out
    assert "categorical_accuracy: " in out
    assert err == ""
    model.fit(X, Y, epochs=2, verbose=1)  # into a file: as with verbose=2
    out, err = capsys.readouterr()
    assert [line.split(" - ")[0] for line in out.splitlines()] == ["Epoch 1/2", "Epoch 2/2"]
    assert "\r" not in out
    assert err == ""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    model.fit(X, Y, epochs=2, verbose=1)
    out, err = capsys.readouterr()
    assert "\rEpoch 2/2:   0%" in out  # the bar, then the line that takes its place
    left = [line.rpartition("\r")[2] for line in out.split("\n")]
    assert [line.split(" - ")[0] for line in left] == ["Epoch 1/2", "Epoch 2/2", ""]
    assert err == ""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    model.fit(X, Y, verbose="auto")
    assert capsys.readouterr().out.startswith("Epoch 1/1 - ")
    model.evaluate(X, Y, verbose=1)
    assert capsys.readouterr().out.startswith("loss: ")
    with pytest.raises(ValueError, match="verbose must be 0, 1, 2"):
        model.fit(X, Y, verbose=3)


# Mistakes --------------------------------------------------------------------------------------------------


def test_batches_are_told_under_both_of_keras_names() -> None:
    told: list[Any] = []

    class Spy(nn.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            told.append(("train begins", batch))

        def on_batch_begin(self, batch: int, logs: Any = None) -> None:
            told.append(("begins", batch))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            told.append(("train ends", batch, sorted(logs)))

    late = nn.LambdaCallback(on_batch_end=lambda batch, logs: told.append(("ends", batch, len(logs))))
    classifier().fit(X, Y, batch_size=70, verbose=0, callbacks=[Spy(), late])
    names = ["categorical_accuracy", "loss"]
    assert told == [("train begins", 0), ("begins", 0), ("train ends", 0, names), ("ends", 0, 2)]


def test_none_means_the_default_as_in_keras() -> None:
    runs = [
        classifier().fit(X, Y, verbose=0, shuffle=False, **how).history
        for how in (
            {},
            {"batch_size": None, "callbacks": None},
            {"batch_size": 32, "callbacks": nn.Callback()},
        )
    ]
    assert runs[0] == runs[1] == runs[2]
    model = classifier()
    assert model.evaluate(X, Y, batch_size=None) == model.evaluate(X, Y, batch_size=32)
    assert model.predict(X, batch_size=None).shape == (70, 3)


@pytest.mark.parametrize(
    ("given", "words"), [(X, r"is a ndarray of shape \(70, 5\)"), ((X, Y, Y), "is a tuple of 3 parts")]
)
def test_validation_data_is_a_pair(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=r"a pair \(x_test, y_test\) of inputs and labels, and " + words):
        classifier().fit(X, Y, validation_data=given, verbose=0)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, Y[:-1], r"each example needs one label: x has shape \(70, 5\) and y \(69, 3\)"),
        (X[:, :4], Y, r"takes inputs of shape \('N', 5\).*x has shape \(70, 4\)"),
        (X[:0], Y[:0], "there are no examples"),
        (X, INTEGERS, "use sparse_categorical_crossentropy"),
        (X, Y[:, :2], "must sum to 1"),
        (X, np.hstack([Y, Y * 0]), r"predictions' shape \(32, 3\), and got \(32, 6\)"),
        (X, np.where(np.arange(70)[:, None] == 50, 0, Y), "row 50 sums to 0"),
        (X, Y * 2, "row 0 sums to 2"),
        (3.0, Y, "is a single number"),
    ],
)
def test_examples_that_do_not_fit(x: Any, y: Any, words: str) -> None:
    model = classifier()
    before = model.get_weights()
    with pytest.raises(ValueError, match=words):
        model.fit(x, y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_training_before_compiling_or_without_layers() -> None:
    model = Sequential([Dense(3, input_dim=5)])
    for method in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(RuntimeError, match=f"{method.__name__} needs to know how to train"):
            method(X, Y)
    empty = Sequential()
    empty.compile("sgd", "mse")
    for call in (lambda: empty.fit(X, Y), lambda: empty.predict(X), lambda: empty(X)):
        with pytest.raises(RuntimeError, match="this model has no layers yet"):
            call()
    with pytest.raises(ValueError, match="compile needs a loss"):
        model.compile("sgd")
    with pytest.raises(ValueError, match="did you mean 'categorical_accuracy'"):
        model.compile("sgd", "mse", metrics=["categorical_acuracy"])


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("batch_size", 2.5), ("epochs", -1)])
def test_counts_are_whole_numbers(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number"):
        classifier().fit(X, Y, **{name: value}, verbose=0)


def test_a_loss_that_is_not_a_number_is_reported_once_with_its_epoch() -> None:
    model = Sequential([Dense(1, input_dim=5)], seed=0)
    model.compile(SGD(1e3), "mse")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, X[:, :1] * 100, epochs=20, verbose=0)
    ours = [str(w.message) for w in caught if "the loss became" in str(w.message)]
    assert len(ours) == 1
    assert "in epoch " in ours[0]
    assert "smaller learning rate" in ours[0]


def test_logits_are_not_taken_for_probabilities() -> None:
    model = Sequential([Dense(3, input_dim=5)], seed=0)
    model.compile("sgd", "categorical_crossentropy")
    before = model.get_weights()
    with pytest.raises(ValueError, match="end the model with a softmax"):
        model.fit(X, Y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    with pytest.raises(ValueError, match='use loss="categorical_crossentropy"'):
        classifier(loss="softmax_cross_entropy").fit(X, Y, verbose=0)


def test_a_loss_that_left_the_graph_is_refused() -> None:
    model = Sequential([Dense(1, input_dim=5)])
    model.compile("sgd", lambda y_true, y_pred: float(np.mean(y_pred.data)))
    with pytest.raises(TypeError, match="the loss must be computed from y_pred"):
        model.fit(X, X[:, :1], verbose=0)


# Layers and weights ----------------------------------------------------------------------------------------


def test_names_are_unique_inside_a_model() -> None:
    model = Sequential([Dense(2, input_dim=2), Dense(2), Dense(2, name="last"), Dense(2)])
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "last", "dense_2"]
    assert model.parameters[2].name == "dense_1.W"
    with pytest.raises(ValueError, match="there is a layer called 'last'"):
        model.add(Dense(2, name="last"))
    with pytest.raises(ValueError, match="is in this model already"):
        model.add(model.layers[0])
    with pytest.raises(TypeError, match="add needs a layer"):
        model.add(nn.relu)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"promised examples of shape \(5,\)"):
        model.add(Dense(2, input_dim=5))
    with pytest.raises(ValueError, match="add it before all layers"):
        model.add(nn.Input((2,)))
    assert len(model.layers) == 4


def test_the_seed_of_a_model_reaches_all_its_layers() -> None:
    first, second = (
        Sequential([Dense(2, input_dim=2), Dense(2, input_dim=2), Dense(2)], seed=7) for _ in range(2)
    )
    assert [w.tolist() for w in first.get_weights()] == [w.tolist() for w in second.get_weights()]
    assert first.get_weights()[0].tolist() != first.get_weights()[2].tolist()


def test_a_model_without_a_shape_builds_on_its_first_input(capsys: Any) -> None:
    model = Sequential([Dense(4, "relu"), Dense(3, "softmax")], seed=0)
    model.summary()
    assert "0 (unbuilt)" in capsys.readouterr().out
    model.compile("sgd", "categorical_crossentropy")
    late = model.fit(X, Y, verbose=0, seed=0).history
    early = classifier(metrics=None).fit(X, Y, verbose=0, seed=0).history
    assert late == early
    with pytest.raises(ValueError, match=r"takes inputs of shape \('N', 5\)"):
        model.predict(X[:, :2])


def test_a_model_can_be_a_layer() -> None:
    inner = Sequential([Dense(4, "relu"), Dense(4)], name="inner")
    model = Sequential([inner, Dense(3, "softmax", name="top")])
    model.compile("sgd", "categorical_crossentropy")
    model.fit(X, Y, verbose=0)
    assert model.count_params() == (5 * 4 + 4) + (4 * 4 + 4) + (4 * 3 + 3)
    assert [p.name for p in model.parameters] == [
        "inner/dense.W",
        "inner/dense.b",
        "inner/dense_1.W",
        "inner/dense_1.b",
        "top.W",
        "top.b",
    ]


def test_a_frozen_parameter_stays(capsys: Any) -> None:
    model = classifier()
    model.layers[0].W.requires_grad = False
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert moved == [False, True, True, True]
    model.summary()
    assert "Trainable params: 19\nNon-trainable params: 20" in capsys.readouterr().out


def test_weights_to_a_file_and_back(tmp_path: Path) -> None:
    model, twin = classifier(), Sequential([Dense(4, "relu", input_dim=5), Dense(3, "softmax")], seed=1)
    model.save_weights(tmp_path / "digits")
    assert np.any(model.predict(X) != twin.predict(X))
    twin.load_weights(tmp_path / "digits.npz")
    np.testing.assert_array_equal(model.predict(X), twin.predict(X))
    with pytest.raises(ValueError, match="weights are kept in"):
        model.save_weights("digits.h5")
    with pytest.raises(
        ValueError, match=r"has parameters \['dense.W', 'dense.b'\], and .* holds \['dense.W'"
    ):
        Sequential([Dense(3, input_dim=5)]).load_weights(tmp_path / "digits.npz")
    with pytest.raises(FileNotFoundError):
        model.load_weights(tmp_path / "none")


def test_set_weights_is_all_or_nothing() -> None:
    model = classifier()
    before = model.get_weights()
    with pytest.raises(ValueError, match="those given have"):
        model.set_weights([before[0] * 0, before[1][:2], *before[2:]])
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.set_weights([w * 0 for w in before])
    assert model.predict(X[:1]).tolist() == [[pytest.approx(1 / 3)] * 3]
    before[0][0] = 7.0  # copies, both ways
    assert model.get_weights()[0][0].tolist() == [0.0] * 4


def test_a_model_shows_itself_in_a_notebook() -> None:
    pytest.importorskip("graphviz")
    model = nn.Sequential([nn.Dense(3, "relu", input_dim=4), nn.Dense(2, "softmax")])
    bundle = model._repr_mimebundle_()
    assert "Total params: 23" in bundle["text/plain"]
    assert "dense_1" in bundle["image/svg+xml"]
    assert "<iframe" in bundle["text/html"]
    assert set(nn.Sequential([nn.Dense(3)])._repr_mimebundle_()) == {"text/plain"}


# Captured training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: SGD(0.1),
        lambda: SGD(0.1, momentum=0.9, nesterov=True),
        nn.Adagrad,
        nn.RMSprop,
        lambda: nn.Adam(0.01, amsgrad=True, weight_decay=0.1, global_clipnorm=1.0),
        lambda: SGD(nn.schedules.ExponentialDecay(0.1, 3, 0.5), clipvalue=0.01),
    ],
)
def test_captured_training_is_training_to_the_last_bit(optimizer: Any) -> None:
    def run(eagerly: bool) -> Any:
        model = Sequential([Dense(4, "tanh", input_dim=5), nn.Dropout(0.2), Dense(3, "softmax")], seed=0)
        model.compile(optimizer(), "categorical_crossentropy", ["accuracy"], run_eagerly=eagerly)
        history = model.fit(X, Y, epochs=3, verbose=0, seed=1, validation_data=(X, Y)).history
        return history, model.get_weights()

    (captured, weights), (eager, expected) = run(False), run(True)
    assert captured == eager
    for w, e in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(w, e)


def test_captured_training_follows_what_is_changed_between_epochs() -> None:
    def change(model: Sequential, epoch: int) -> None:
        if epoch == 0:
            model.optimizer.learning_rate = 0.5
        if epoch == 1:
            model.optimizer.momentum = 0.5
        if epoch == 2:
            model.layers[1].rate = 0.7
        if epoch == 3:
            model.set_weights([w * 0.5 for w in model.get_weights()])
        if epoch == 4:
            model.layers[0].trainable = False
        if epoch == 5:
            model.layers[0].W = Tensor(np.ones((5, 4), np.float32), requires_grad=True)

    def run(eagerly: bool) -> Any:
        model = Sequential([Dense(4, "tanh", input_dim=5), nn.Dropout(0.2), Dense(3, "softmax")], seed=0)
        model.compile(SGD(0.1), "categorical_crossentropy", run_eagerly=eagerly)
        watch = nn.LambdaCallback(on_epoch_end=lambda epoch, logs: change(model, epoch))
        return model.fit(X, Y, epochs=8, verbose=0, seed=1, callbacks=[watch]).history["loss"]

    assert run(False) == run(True)


def test_a_step_that_cannot_be_captured_runs_call_by_call_and_says_why() -> None:
    class Looks(nn.Layer):
        def call(self, x: Any) -> Any:
            return x if float(np.max(x)) > -1e9 else x * 2

    model = Sequential([Looks(input_dim=5), Dense(3, "softmax")], seed=0)
    model.compile("sgd", "categorical_crossentropy")
    with pytest.warns(RuntimeWarning, match=r"test_sequential.py:\d+: float.*run_eagerly=True"):
        model.fit(X, Y, verbose=0)
    model.fit(X, Y, verbose=0)  # says so once


def test_integer_labels_outside_the_classes_are_refused_wherever_they_are() -> None:
    model = Sequential([Dense(3, "softmax")], seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    labels = INTEGERS.copy()
    labels[60] = 3
    with pytest.raises(ValueError, match="labels for 3 classes must be 0 to 2, and that of example 60 is 3"):
        model.fit(X, labels, verbose=0)
