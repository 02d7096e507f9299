"""`Model`: a layer that can be trained: `compile`, `fit`, `evaluate`, `predict`, and weights in files.

The one idea: training repeats four lines, `_learn`: predict, compute the loss, go backward, move the
parameters. `epochs` feeds them batches and adds up what came out. The four lines run as one captured program
(see `capture`), unless asked not to.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .. import random
from ..callsites import warn
from ..capture.jit import Jitted, jit
from ..containers import leaves, rebuild, tree_map
from ..declared import Note
from ..state import contained, no_grad
from ..tensor import Tensor
from . import losses, metrics, optimizers
from .base_layer import Layer
from .callbacks import Callback, Callbacks, History
from .epochs import Run, Totals, mean
from .examples import apart, count, examples_for, finite_examples_for, inputs_for, taken
from .metrics import get as get_metric
from .mode import training
from .progress import Progress, describe
from .table import table


class Model(Layer):
    """A layer with all that training needs; a model of one's own is its layers, and `call`.

    Args:
        name: what the summary calls it; by default after its class.
        dtype: what inputs are converted to.
        seed: makes first weights, dropout and shuffling repeat.
        input_shape: the shape of one example, if the weights should exist before the first input.
        input_dim: the same for examples that are vectors.

    >>> from tinygrad_edu.nn import Dense
    >>> class Net(Model):
    ...     def __init__(self):
    ...         super().__init__(seed=0)
    ...         self.hidden = Dense(8, "tanh")
    ...         self.top = Dense(1)
    ...     def call(self, x):
    ...         return self.top(self.hidden(x)) + x
    >>> net = Net()
    >>> net.compile("adam", "mse")
    >>> history = net.fit(np.ones((4, 1)), np.ones((4, 1)), verbose=0)
    >>> [weight.name for weight in net.parameters]
    ['dense.W', 'dense.b', 'dense_1.W', 'dense_1.b']
    """

    history, stop_training, run_eagerly = Note(), Note(), Note()
    _jit_compile, _step = Note(), Note()  # and `_learn`, captured

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = np.float32,
        seed: int | None = None,
        input_shape: Any = None,
        input_dim: int | None = None,
    ):
        super().__init__(name, dtype, seed, input_shape, input_dim)
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self.metrics: list[tuple[str, metrics.Metric]] = []
        self.history = History()
        self.stop_training = False
        self.run_eagerly = self._jit_compile = False

    # As a layer

    @property
    def _is_boxed(self) -> bool:
        """Whether the calls inside are recorded under its name: only where it is inside another layer."""
        return self._path is not None

    def _prefix(self) -> str:
        """Return what the paths of layers inside begin with: nothing, unless it is inside another layer."""
        return super()._prefix() if self._path else ""

    def shape_of_examples(self, x: Any) -> Any:
        """Return the shape that examples such as those in x must have, or None where any may fit."""
        return self.input_shape

    @property
    def output_dtype(self) -> Any:
        """The type of its predictions, which labels that are numbers are converted to."""
        return self.dtype

    @contained
    def try_out_on(self, x: Any) -> None:
        """Make all weights by predicting for an input."""
        with no_grad(), training(False):
            self(x)

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

        >>> from tinygrad_edu.nn import Dense, Sequential
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
        y_pred = self._prediction(x)
        loss = self._loss(y, y_pred)
        loss.backward()
        self.optimizer.apply(self.weights_so_far())  # type: ignore[union-attr]  # _compiled has checked
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
            warn(
                f"the training step cannot be captured and runs call by call ({reason}); "
                "compile(..., run_eagerly=True) does so from the start",
            )
            return result
        return float(loss), y_pred

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_step": None}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        vars(self).update(saved)
        self._step = Jitted(self._learn, self._jit_compile)  # which asks for Numba when it trains

    def _prediction(self, x: Any) -> Any:
        """Predict for a batch: one Tensor, which the loss and the metrics are computed from."""
        y_pred = self(x)
        if not isinstance(y_pred, Tensor):
            raise TypeError(
                f"model {self.path!r} returned a {type(y_pred).__name__} of {len(y_pred)}, and the loss "
                "takes one output; return that from call"
            )
        return y_pred

    def _loss(self, y: Any, y_pred: Any) -> Tensor:
        """Compute the loss as a scalar."""
        own = not hasattr(self.loss, "labels")  # and says nothing of the labels that it takes
        y = losses.alike(y, y_pred) if own else y
        loss = self.loss(y, y_pred)  # type: ignore[misc]  # _compiled has checked
        if not isinstance(loss, Tensor):
            raise TypeError(
                "the loss must be computed from y_pred with NumPy functions, so that it is a Tensor; "
                f"{getattr(self.loss, '__name__', 'it')} returned {type(loss).__name__}"
            )
        return loss if loss.data.shape == () else loss.mean()

    @contained
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
            RuntimeWarning: x or y hold NaN or infinity, or the loss is no longer a finite number.
        """
        self._compiled("fit")
        whole = _whole_numbers(batch_size=batch_size, epochs=epochs, initial_epoch=initial_epoch)
        x, y, validation = apart(self, x, y, validation_split, validation_data)
        run = Run(self, callbacks, Progress(verbose, epochs), whole["batch_size"])
        try:
            with training():
                run.begin()
                for epoch in range(initial_epoch, epochs):
                    order = self._order(seed, epoch).permutation(len(y)) if shuffle else None
                    run.epoch(epoch, x, y, order, validation, validation_batch_size)
                    if self.stop_training:
                        break
                run.callbacks.tell("on_train_end", run.logs)
        finally:
            run.progress.close()
            self.zero_grad()
        return run.history

    def _order(self, seed: int | None, epoch: int) -> np.random.Generator:
        """Return what to shuffle an epoch with: by seed and epoch, so that a run can be taken up again."""
        if seed is not None:
            return np.random.default_rng([seed, epoch])
        return self.generator or random.generator()

    @contained
    def train_on_batch(self, x: Any, y: Any) -> Any:
        """Take one step; return the loss before it, or a list of it and the metrics.

        Raises:
            RuntimeError: `compile` was not called.
            ValueError: x and y do not fit each other or the model.
        """
        self._compiled("train_on_batch")
        x, y = examples_for(self, x, y)
        with training():
            loss, y_pred = self._train_step(x, y)
        y = losses.alike(y, y_pred)
        logs = {"loss": loss, **{name: mean(metric(y, y_pred)) for name, metric in self.metrics}}
        return _listed(logs)

    @contained
    def evaluate(
        self,
        x: Any,
        y: Any,
        batch_size: int | None = None,
        verbose: int | str = 0,
        return_dict: bool = False,
        callbacks: Iterable[Callback] | Callback | None = None,
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
        told = Callbacks(callbacks, self)
        logs = self._test(*finite_examples_for(self, x, y), whole["batch_size"], told)
        if verbose in (1, 2):
            print(describe(logs))
        return logs if return_dict else _listed(logs)

    def _test(self, x: Any, y: Any, batch_size: int, told: Callbacks) -> dict[str, float]:
        """Average the loss and metrics over batches; the calls are recorded, for losses that look back."""
        totals = Totals(self.metrics)
        told.tell("on_test_begin", {})
        with training(False):
            for number, start in enumerate(range(0, len(y), batch_size)):
                batch = slice(start, start + batch_size)
                labels = y[batch]
                told.tell("on_test_batch_begin", number, {})
                y_pred = self._prediction(taken(x, batch))
                totals.add(float(self._loss(labels, y_pred)), labels, y_pred.data)
                told.tell("on_test_batch_end", number, totals.means)
        told.tell("on_test_end", totals.means())
        return totals.means()

    @contained
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = 0,
        callbacks: Iterable[Callback] | Callback | None = None,
    ) -> Any:
        """Return what the model predicts, as a plain array; or several, as `call` returns them.

        Raises:
            ValueError: x does not fit the model.
        """
        size = _whole_numbers(batch_size=batch_size)["batch_size"]
        x = inputs_for(self, x)
        told, parts = Callbacks(callbacks, self), []
        told.tell("on_predict_begin", {})
        with no_grad(), training(False):
            for number, start in enumerate(range(0, max(count(x), 1), size)):
                told.tell("on_predict_batch_begin", number, {})
                parts.append(self(taken(x, slice(start, start + size))))
                told.tell("on_predict_batch_end", number, {"outputs": tree_map(lambda y: y.data, parts[-1])})
        told.tell("on_predict_end", {})
        columns = zip(*map(leaves, parts), strict=True)  # of each output, what all batches gave
        return rebuild(parts[0], iter([np.concatenate([part.data for part in column]) for column in columns]))

    def _compiled(self, method: str) -> None:
        self._place_inner()  # layers that were added since
        if self.optimizer is None or self.loss is None:
            raise RuntimeError(
                f"{method} needs to know how to train: call  "
                'model.compile(optimizer=SGD(0.1), loss="categorical_crossentropy")  first'
            )

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print a table of the layers, the shapes of their outputs and the numbers of their parameters.

        >>> from tinygrad_edu.nn import Dense, Sequential
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
        print_fn(table(self))

    def __repr__(self) -> str:
        kinds = ", ".join(type(layer).__name__ for layer in self._inner()) or "no layers"
        total = sum(weight.size for weight in self.weights_so_far())
        count = f"{total:,} parameters" if self.ready else "not built yet"
        return f"<{type(self).__name__} {self.path!r} of {kinds}: {count}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the model in a notebook: its table, and the graph of one example on its way through."""
        text = {"text/plain": table(self)}
        if self.input_shape is None:
            return text
        from ..viz import mimebundle

        kind = int if self.takes == "integers" else np.float32
        return mimebundle(self(Tensor(np.zeros((1, *self.input_shape), kind), name="x"))) | text


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
