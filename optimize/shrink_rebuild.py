"""The network built again with fewer channels, and the weights of those that stay."""

from typing import Any

import numpy as np
import numpy.typing as npt

from optimize.shrink_coupling import Coupling, Kept, LayerChannels

_Array = npt.NDArray[Any]
_WIDTHS = {"Conv2D": "filters", "Dense": "units"}


def rebuild(model: Any, coupling: Coupling, kept: Kept) -> Any:
    """Return a network with the ``kept`` channels alone; names and settings stay.

    Args:
        model: a functional network; it is not changed.
        coupling: of that network.
        kept: whether each channel number stays.
    """
    config = model.get_config()
    channels = {layer.name: layer for layer in coupling.layers}
    for entry in config["layers"]:
        entry.pop("build_config", None)  # names the shapes of before
        width = _WIDTHS.get(entry["class_name"])
        if width:
            outputs = channels[entry["config"]["name"]].outputs
            entry["config"][width] = int(kept[outputs].sum())
    smaller = type(model).from_config(config)
    for layer in model.layers:
        values = layer.get_weights()
        if values:
            named = dict(zip((weight.name for weight in layer.weights), values, strict=True))
            found = [_cut(name, value, channels[layer.name], kept) for name, value in named.items()]
            smaller.get_layer(layer.name).set_weights(found)
    return smaller


def _cut(name: str, value: _Array, layer: LayerChannels, kept: Kept) -> _Array:
    """Return what stays of one array of weights.

    Kernels are ``(..., inputs, outputs)``, of depthwise convolutions ``(rows, columns, inputs,
    multiplier)``; every other array of a layer whose channels may go is ``(outputs,)``.
    """
    inputs, outputs = kept[layer.inputs], kept[layer.outputs]
    if inputs.all() and outputs.all():
        return value
    if layer.kind == "DepthwiseConv2D" and value.ndim == 4:
        return value[:, :, inputs]
    if layer.kind in _WIDTHS and value.ndim > 1:
        return np.ascontiguousarray(value[..., inputs, :][..., outputs])
    if value.shape != outputs.shape:
        raise AssertionError(f"{layer.name}: {name} of shape {value.shape} has no channel axis")
    return value[outputs]
