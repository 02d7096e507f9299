"""The table that `summary` prints: the layers of a model, their outputs and their weights."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Model


def table(model: "Model") -> str:
    """Draw the table of `Model.summary`."""
    rows = [("Layer (type)", "Output shape", "Param #")]
    for name, layer in model._named_inner():
        shape = str(layer.output_shape) if layer.output_shape is not None else "?"
        built = layer.ready and (layer.built or layer.weights_so_far() or layer._inner())
        rows.append(
            (
                f"{name} ({type(layer).__name__})",
                shape,
                f"{layer.count_params():,}" if built else "0 (unbuilt)",
            )
        )
    first, second, third = (max(len(row[column]) for row in rows) for column in range(3))
    lines = [f"{a:{first}}    {b:{second}}    {c:>{max(third, 10)}}" for a, b, c in rows]
    width = len(lines[0]) + 1
    weights = model.weights_so_far()
    total = sum(weight.size for weight in weights)
    trainable = sum(weight.size for weight in weights if weight.requires_grad)
    return "\n".join(
        [
            f'Model: "{model.name}"',
            "─" * width,
            lines[0],
            "═" * width,
            *lines[1:],
            "═" * width,
            f"Total params: {total:,}",
            f"Trainable params: {trainable:,}",
            f"Non-trainable params: {total - trainable:,}",
        ]
    )
