"""`Sequential`: layers one after the other, f(X) = f_M(... f_2(f_1(X))), and how they are trained.

The one idea: training repeats four lines, `_learn`: predict, compute the loss, go backward, move the
parameters. `epochs` feeds them batches and adds up what came out. The four lines run as one captured program
(see `capture`), unless asked not to.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import random
from ..capture.jit import Jitted, jit
from ..declared import Note
from ..recording import Recorded
from ..state import no_grad
from ..tensor import Tensor
from . import losses, metrics, optimizers
from .callbacks import Callback, History
from .epochs import Run, Totals, mean
from .layers import Input, Layer, training
from .metrics import get as get_metric
from .progress import Progress, describe

FLOAT_LABELS = (losses.mean_squared_error, losses.mean_absolute_error, losses.binary_crossentropy)
INTEGER_LABELS = (losses.sparse_categorical_crossentropy, losses.LOSSES["softmax_cross_entropy"])
ROWS_OF_PROBABILITIES = (losses.categorical_crossentropy, losses.LOSSES["softmax_cross_entropy"])


class Sequential(Layer):
    """A model made of layers, each fed with the output of the one before.

    Args:
        layers: the layers, or `add` them one by one. The first may be ``Input(shape=...)``.
        name: what the summary calls it.
        seed: makes first weights, dropout and shuffling repeat.

    >>> x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> y = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])  # is either of them on?
    >>> from tinygrad_edu.nn.layers import Dense
    >>> model = Sequential([Dense(2, activation="softmax", input_dim=2)], seed=0)
    >>> model.compile(optimizers.SGD(lr=1.0), "categorical_crossentropy", metrics=["accuracy"])
    >>> history = model.fit(x, y, epochs=100, verbose=0)
    >>> history.history["accuracy"][-1]
    1.0
    >>> model.predict([[0.0, 1.0]]).argmax()
    np.int64(1)
    """

    history, stop_training, run_eagerly, _jit_compile, _step = (Note() for _ in range(5))

    def __init__(
        self, layers: Iterable[Layer | Input] = (), name: str = "sequential", seed: int | None = None
    ):
        super().__init__(name, seed=seed)
        self.built = True  # layers build themselves
        self.layers: list[Layer] = []
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self.metrics: list[tuple[str, metrics.Metric]] = []
        self.history = History()
        self.stop_training = False
        self.run_eagerly = self._jit_compile = False
        self._step = None  # `_learn`, captured
        for layer in layers or ():
            self.add(layer)

    # Layers

    def add(self, layer: Layer | Input) -> None:
        """Append a layer.

        Raises:
            TypeError: not a layer.
            ValueError: its name is taken, or it does not fit the layer before.
        """
        if isinstance(layer, Input):
            if self.layers:
                raise ValueError("Input describes what the first layer gets: add it before all layers")
            self.input_shape = layer.shape
            return
        if not isinstance(layer, Layer):
            raise TypeError(
                f"add needs a layer, such as Dense(10), and got {layer!r}; a function goes into a layer's "
                "activation=, or becomes one with Activation(function)"
            )
        if any(layer is other for other in self.layers):
            raise ValueError(f"layer {layer.name!r} is in this model already; make another one")
        self._name(layer)
        if layer.generator is None and self.generator is not None:
            layer.generator = self.generator.spawn(1)[0]
        if not self.layers and self.input_shape is None:
            self.input_shape = layer.input_shape
        self._try_out(layer)
        self.layers.append(layer)
        self.changed()

    def _name(self, layer: Layer) -> None:
        """Give a layer a name of its own in this model: dense, dense_1, dense_2, ..."""
        taken = {other.name for other in self.layers}
        if layer.name not in taken:
            return
        if layer.named:
            raise ValueError(
                f"there is a layer called {layer.name!r} in this model already; choose another name"
            )
        number = 1
        while f"{layer.name}_{number}" in taken:
            number += 1
        layer.rename(f"{layer.name}_{number}")

    def _try_out(self, layer: Layer) -> None:
        """Send one example of zeros through a layer, where its shape is known: that makes the parameters."""
        before = self.layers[-1].output_shape if self.layers else self.input_shape and (1, *self.input_shape)
        if before is not None:
            with no_grad(), training(False):
                layer(np.zeros([size or 1 for size in before], layer.dtype))

    def call(self, x: Any) -> Any:
        """Return the output of the last layer."""
        for layer in self.layers:
            x = layer(x)
        return x

    def __call__(self, x: Any) -> Any:
        """Return the output for the inputs x: a Tensor that gradients can be traced back through."""
        if not self.layers:
            raise RuntimeError("this model has no layers yet; add one, such as model.add(Dense(10))")
        before = self.changes
        y = self.call(x)
        self.declare(before)
        if self.output_shape is None:
            self.output_shape = (None, *y.shape[1:])
        return y

    def settings(self) -> dict[str, Any]:
        """Return the attributes that decide what is computed, layers among them."""
        return super().settings() | {"layers": list(self.layers)}

    # Training

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Sequence[Any] | str | Callable[..., Any] | None = None,
        run_eagerly: bool = False,
        jit_compile: bool = False,
    ) -> None:
        """Say how to train: which optimizer, which loss, and which metrics to write down.

        Args:
            optimizer: an `Optimizer`, or its name ("sgd", "adam", ...).
            loss: a name ("categorical_crossentropy", "mse", ...) or a function of (y_true, y_pred).
            metrics: names ("categorical_accuracy", "accuracy", ...) or functions of (y_true, y_pred).
            run_eagerly: whether to run training steps call by call, as for layers that look at values or
                change something besides Tensors, and not as the program that `jit` makes of one step.
            jit_compile: whether that program's loops are compiled by Numba (`jit` with ``compiled=True``),
                which pays off after some thousand steps. Its results are the same to the last bit
                (`docs/capture.md`, "Compiled loops", lists the exceptions).

        Raises:
            ValueError: a name that does not exist; the message lists those that do. Or both `run_eagerly`
                and `jit_compile`.
            TypeError: a flag that is neither True nor False.
            ImportError: `jit_compile`, and Numba is not installed.
        """
        for name, flag in (("run_eagerly", run_eagerly), ("jit_compile", jit_compile)):
            if not isinstance(flag, bool):
                raise TypeError(f"{name} must be True or False, and is {flag!r}")
        if run_eagerly and jit_compile:
            raise ValueError(
                "a step runs call by call or compiled: give run_eagerly or jit_compile, not both"
            )
        if loss is None:
            raise ValueError('compile needs a loss, such as loss="categorical_crossentropy" or loss="mse"')
        step = jit(self._learn, jit_compile)
        wanted = [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics or ())
        self.optimizer, self.loss = optimizers.get(optimizer), losses.get(loss)
        self.metrics = [get_metric(metric) for metric in wanted]
        self.run_eagerly, self._jit_compile, self._step = run_eagerly, jit_compile, step

    @property
    def jit_compile(self) -> bool:
        """Whether the training step's loops are compiled; `compile` decides it."""
        return bool(self._jit_compile)

    @property
    def captured_step(self) -> Jitted:
        """The training step that `fit` takes, captured: its ``source`` is the program, ``report()`` its cost.

        Raises:
            RuntimeError: the model trains call by call, or was not compiled.

        >>> from tinygrad_edu.nn.layers import Dense
        >>> model = Sequential([Dense(1, input_dim=2)])
        >>> model.compile("sgd", loss="mse")
        >>> history = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
        >>> "def step(" in model.captured_step.source
        True
        """
        self._compiled("captured_step")
        if self.run_eagerly or self._step is None:
            raise RuntimeError("this model trains call by call (run_eagerly, or its step cannot be captured)")
        step: Jitted = self._step
        return step

    def _learn(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Learn from one batch: return the loss, and what was predicted before learning."""
        y_pred = self(x)
        loss = self._loss(y, y_pred)
        loss.backward()
        self.optimizer.apply(self.parameters)  # type: ignore[union-attr]  # _compiled has checked
        return loss.data, y_pred.data

    def _train_step(self, x: Any, y: Any) -> tuple[float, Any]:
        """Take one step, as a captured program where that is possible."""
        if self.run_eagerly or self._step is None:
            loss, y_pred = self._learn(x, y)
            return float(loss), y_pred
        try:
            loss, y_pred = self._step(x, y)
        except Exception as reason:
            if not self._step.refused:
                raise
            self._step = None
            result = self._train_step(x, y)  # which raises the user's own errors
            warnings.warn(
                f"the training step cannot be captured and runs call by call ({reason}); "
                "compile(..., run_eagerly=True) does so from the start",
                RuntimeWarning,
                stacklevel=5,
            )
            return result
        return float(loss), y_pred

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_step": None}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        vars(self).update(saved)
        self._step = Jitted(self._learn, self._jit_compile)  # which asks for Numba when it trains

    def _loss(self, y: Any, y_pred: Any) -> Tensor:
        """Compute the loss as a scalar."""
        loss = self.loss(y, y_pred)  # type: ignore[misc]  # _compiled has checked
        if not isinstance(loss, Tensor):
            raise TypeError(
                "the loss must be computed from y_pred with NumPy functions, so that it is a Tensor; "
                f"{getattr(self.loss, '__name__', 'it')} returned {type(loss).__name__}"
            )
        return loss if loss.data.shape == () else loss.mean()

    def fit(
        self,
        x: Any,
        y: Any,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Iterable[Callback] | Callback | None = None,
        validation_split: float = 0.0,
        validation_data: tuple[Any, Any] | None = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
        seed: int | None = None,
        validation_batch_size: int | None = None,
    ) -> History:
        """Train on examples, several times over (epochs), a batch at a time.

        Args:
            x: the inputs, with examples along the first axis.
            y: the labels, as many.
            batch_size: examples a step, 32 by default; the last batch may be smaller.
            epochs: the number of the last epoch.
            verbose: 0 shows nothing, 2 one line an epoch, 1 or "auto" a progress bar too, in a terminal.
            callbacks: `Callback` objects that are told what happens.
            validation_split: the share of the examples, the last ones, that is kept aside for validation.
            validation_data: ``(x, y)`` to compute ``val_loss`` and so on with after each epoch.
            shuffle: whether each epoch goes through the examples in a new random order.
            initial_epoch: the epoch to start from, to go on with an earlier run.
            seed: makes the random orders repeat.
            validation_batch_size: examples predicted at once for validation.

        Returns:
            A `History`: the mean loss and metrics of each epoch. It is also kept in ``model.history``, up to
            the last complete epoch, where training is interrupted.

        Raises:
            RuntimeError: `compile` was not called.
            ValueError: x and y do not fit each other or the model.

        Warns:
            RuntimeWarning: the loss is no longer a finite number.
        """
        self._compiled("fit")
        whole = _whole_numbers(batch_size=batch_size, epochs=epochs, initial_epoch=initial_epoch)
        x, y, validation = self._apart(x, y, validation_split, validation_data)
        told = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or ())
        run = Run(self, told, Progress(verbose, epochs), whole["batch_size"])
        try:
            with training():
                run.begin()
                for epoch in range(initial_epoch, epochs):
                    order = self._order(seed, epoch).permutation(len(x)) if shuffle else None
                    run.epoch(epoch, x, y, order, validation, validation_batch_size)
                    if self.stop_training:
                        break
                run.tell("on_train_end")
        finally:
            run.progress.close()
            self.zero_grad()
        return run.history

    def _order(self, seed: int | None, epoch: int) -> np.random.Generator:
        """Return what to shuffle an epoch with: by seed and epoch, so that a run can be taken up again."""
        if seed is not None:
            return np.random.default_rng([seed, epoch])
        return self.generator or random.generator()

    def train_on_batch(self, x: Any, y: Any) -> Any:
        """Take one step; return the loss before it, or a list of it and the metrics."""
        self._compiled("train_on_batch")
        x, y = self._examples(x, y)
        with training():
            loss, y_pred = self._train_step(x, y)
        logs = {"loss": loss, **{name: mean(metric(y, y_pred)) for name, metric in self.metrics}}
        return _listed(logs)

    def evaluate(
        self,
        x: Any,
        y: Any,
        batch_size: int | None = None,
        verbose: int | str = 0,
        return_dict: bool = False,
    ) -> Any:
        """Compute the loss and metrics on examples, without learning from them.

        Returns:
            The loss; with metrics a list of the loss and each of them; with `return_dict` a dict by name.

        Raises:
            RuntimeError: `compile` was not called.
            ValueError: x and y do not fit each other or the model.
        """
        self._compiled("evaluate")
        whole = _whole_numbers(batch_size=batch_size)
        logs = self._test(*self._examples(x, y), whole["batch_size"])
        if verbose in (1, 2):
            print(describe(logs))
        return logs if return_dict else _listed(logs)

    def _test(self, x: Any, y: Any, batch_size: int) -> dict[str, float]:
        """Average the loss and metrics over batches; the calls are recorded, for losses that look back."""
        totals = Totals(self.metrics)
        with training(False):
            for start in range(0, len(x), batch_size):
                part, labels = x[start : start + batch_size], y[start : start + batch_size]
                y_pred = self(part)
                totals.add(float(self._loss(labels, y_pred)), labels, y_pred.data)
        return totals.means()

    def predict(self, x: Any, batch_size: int | None = None, verbose: int | str = 0) -> Any:
        """Return what the model predicts, as a plain array.

        Raises:
            ValueError: x does not fit the model.
        """
        size = _whole_numbers(batch_size=batch_size)["batch_size"]
        x = self._inputs(x)
        with no_grad(), training(False):
            parts = [self(x[start : start + size]) for start in range(0, max(len(x), 1), size)]
        return np.concatenate([part.data if isinstance(part, Recorded) else part for part in parts])

    # Checking what comes in

    def _compiled(self, method: str) -> None:
        if self.optimizer is None or self.loss is None:
            raise RuntimeError(
                f"{method} needs to know how to train: call  "
                'model.compile(optimizer=SGD(0.1), loss="categorical_crossentropy")  first'
            )
        if not self.layers:
            raise RuntimeError("this model has no layers yet; add one, such as model.add(Dense(10))")

    def _inputs(self, x: Any) -> Any:
        """Convert inputs to the first layer's dtype, once."""
        if not self.layers:
            raise RuntimeError("this model has no layers yet; add one, such as model.add(Dense(10))")
        x = np.asarray(x.data if isinstance(x, Recorded) else x)
        if x.ndim == 0:
            raise ValueError("x needs examples along its first axis, and is a single number")
        expected = self.input_shape or self.layers[0].input_shape
        if expected is None and self.layers[0].features is not None:
            expected = (*x.shape[1:-1], self.layers[0].features)
        if expected is not None and x.shape[1:] != tuple(expected):
            raise ValueError(
                f"this model takes inputs of shape {('N', *expected)}, N examples of shape {tuple(expected)}"
                f"; x has shape {x.shape}"
            )
        return x.astype(self.layers[0].dtype, copy=False)

    def _apart(self, x: Any, y: Any, share: float, given: Any) -> tuple[Any, Any, tuple[Any, Any] | None]:
        """Return examples to train on, and others for validation: the ones given, or the last share."""
        x, y = self._examples(x, y)
        if given is not None:
            if not isinstance(given, (tuple, list)) or len(given) != 2:
                raise ValueError(
                    "validation_data is a pair (x_test, y_test) of inputs and labels, and is "
                    f"{_described(given)}"
                )
            return x, y, self._examples(*given)
        if not 0 <= share < 1:
            raise ValueError(f"validation_split is the share kept aside, from 0 up to but not 1, not {share}")
        kept = len(x) - int(len(x) * share)
        return x[:kept], y[:kept], ((x[kept:], y[kept:]) if kept < len(x) else None)

    def _examples(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Convert inputs and labels once, and check that they fit each other."""
        x = self._inputs(x)
        y = np.asarray(y.data if isinstance(y, Recorded) else y)
        if y.ndim == 0 or len(x) != len(y):
            raise ValueError(
                f"each example needs one label: x has shape {x.shape} and y {y.shape}; "
                "their first axes should be equally long"
            )
        if len(x) == 0:
            raise ValueError("there are no examples: x and y are empty")
        as_numbers = y.ndim > 1 and y.shape[-1] > 1  # one-hot labels, which count as numbers
        if y.dtype.kind in "fb" or (y.dtype.kind in "iu" and (as_numbers or self.loss in FLOAT_LABELS)):
            y = y.astype(self.layers[-1].dtype, copy=False)
        if self.loss in ROWS_OF_PROBABILITIES and y.dtype.kind == "f" and y.ndim > 1:
            wrong = np.abs(y.sum(-1) - 1) > 1e-3
            if wrong.any():
                row = tuple(np.argwhere(wrong)[0].tolist())
                raise ValueError(
                    f"each row of labels must sum to 1 (one-hot, or probabilities); row {row[0]} sums to "
                    f"{y[row].sum():.4g}"
                )
        if self.loss in INTEGER_LABELS and y.dtype.kind in "iu" and not as_numbers:
            self._check_classes(y)
        return x, y

    def _check_classes(self, y: Any) -> None:
        """Check that labels are numbers of classes that the model tells apart, for all examples at once."""
        shape = self.output_shape or (vars(self.layers[-1]).get("units"),)
        classes = shape[-1]
        if classes is not None and (wrong := (y < 0) | (y >= classes)).any():
            raise ValueError(
                f"labels for {classes} classes must be 0 to {classes - 1}, and that of example "
                f"{int(np.argwhere(wrong)[0][0])} is {y[wrong][0]}"
            )

    # Weights

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for param in self.parameters:
            param.grad = None

    def get_weights(self) -> list[Any]:
        """Return copies of the values of all parameters, layer by layer."""
        return [np.array(param.data) for param in self.parameters]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Give all parameters new values, in the order of `get_weights`.

        Raises:
            ValueError: another number of them, or other shapes; then nothing is changed.
        """
        parameters = self.parameters
        shapes = [param.shape for param in parameters]
        given = [np.shape(values) for values in weights]
        if shapes != given:
            raise ValueError(f"this model has weights of shapes {shapes}, and those given have {given}")
        for param, values in zip(parameters, weights, strict=True):
            param.assign(values)

    def save_weights(self, path: str | Path) -> None:
        """Write all parameters to an ``.npz`` file, by name.

        Raises:
            ValueError: the path ends in something else, or two parameters share a name.
        """
        named = {param.name or str(i): param.data for i, param in enumerate(self.parameters)}
        if len(named) != len(self.parameters):
            raise ValueError("two parameters share a name; give the layers names of their own with name=")
        with _npz(path).open("wb") as file:
            np.savez(file, **named)

    def load_weights(self, path: str | Path) -> None:
        """Read all parameters from a file that `save_weights` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file holds other parameters than the model has; the message names them.
        """
        with np.load(_npz(path), allow_pickle=False) as file:
            saved = {name: file[name] for name in file.files}
        names = [param.name or str(i) for i, param in enumerate(self.parameters)]
        if set(names) != set(saved):
            raise ValueError(f"this model has parameters {names}, and {path} holds {list(saved)}")
        self.set_weights([saved[name] for name in names])

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print a table of the layers, the shapes of their outputs and the numbers of their parameters.

        >>> from tinygrad_edu.nn.layers import Dense
        >>> Sequential([Dense(10, "relu", input_dim=784), Dense(10, "softmax")]).summary()
        Model: "sequential"
        ──────────────────────────────────────────────
        Layer (type)       Output shape       Param #
        ══════════════════════════════════════════════
        dense (Dense)      (None, 10)           7,850
        dense_1 (Dense)    (None, 10)             110
        ══════════════════════════════════════════════
        Total params: 7,960
        Trainable params: 7,960
        Non-trainable params: 0
        """
        print_fn(self._table())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the model in a notebook: its table, and the graph of one example on its way through."""
        table = {"text/plain": self._table()}
        shape = self.layers[0].input_shape if self.layers else None
        if shape is None:
            return table
        from ..viz import mimebundle

        return mimebundle(self(Tensor(np.zeros((1, *shape), np.float32), name="x"))) | table

    def _table(self) -> str:
        """Draw the table of `summary`."""
        rows = [("Layer (type)", "Output shape", "Param #")]
        for layer in self.layers:
            shape = str(layer.output_shape) if layer.output_shape is not None else "?"
            count = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
            rows.append((f"{layer.name} ({type(layer).__name__})", shape, count))
        first, second, third = (max(len(row[column]) for row in rows) for column in range(3))
        lines = [f"{a:{first}}    {b:{second}}    {c:>{max(third, 10)}}" for a, b, c in rows]
        width = len(lines[0]) + 1
        trainable = sum(param.size for param in self.parameters if param.requires_grad)
        return "\n".join(
            [
                f'Model: "{self.name}"',
                "─" * width,
                lines[0],
                "═" * width,
                *lines[1:],
                "═" * width,
                f"Total params: {self.count_params():,}",
                f"Trainable params: {trainable:,}",
                f"Non-trainable params: {self.count_params() - trainable:,}",
            ]
        )


def _listed(logs: dict[str, float]) -> Any:
    """Return the loss alone, or a list of it and the metrics."""
    return logs["loss"] if len(logs) == 1 else list(logs.values())


def _whole_numbers(**numbers: Any) -> dict[str, int]:
    """Check counts: whole numbers from 1 up, or from 0 up for epochs. Without a batch_size, it is 32."""
    if numbers.get("batch_size", 32) is None:
        numbers["batch_size"] = 32
    for name, number in numbers.items():
        least = 1 if name == "batch_size" else 0
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < least:
            raise ValueError(f"{name} must be a whole number from {least} up, and is {number!r}")
    return {name: int(number) for name, number in numbers.items()}


def _described(value: Any) -> str:
    """Say in a few words what a value is."""
    kind = f"a {type(value).__name__}"
    if hasattr(value, "shape"):
        return f"{kind} of shape {value.shape}"
    return f"{kind} of {len(value)} parts" if isinstance(value, (tuple, list)) else kind


def _npz(path: str | Path) -> Path:
    """Return the path with ``.npz`` at its end."""
    path = Path(path)
    if path.suffix not in ("", ".npz"):
        raise ValueError(f"weights are kept in .npz files, and this path ends in {path.suffix}: {path}")
    return path.with_suffix(".npz")
