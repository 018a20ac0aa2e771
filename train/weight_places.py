"""Lays named arrays into a network's variables, and keeps the account of it.

What fits by name and shape is loaded; what stayed random and what was left over is listed. A file
of another network is refused: one that both lacks many of the layers and brings many unknown ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train.artifact import WeightsOrigin
from train.errors import WeightsError
from train.networks.blocks import HEAD_LAYER
from train.storage import digest_of, digest_of_file
from train.stored_layers import variable_name
from train.torch_pickle import Array

_SHOWN = 4
# Two networks of one family share names; one with its head cut off or replaced shares nearly all.
_FOREIGN_SHARE = 0.1
_FOREIGN_LAYERS = 10


@dataclass(frozen=True, kw_only=True)
class Source:
    """Arrays that were read, and what they are.

    Attributes:
        label: what the origin says, such as ``file imagenet.npz``; no path of a machine.
        path: the file that they were read from, or a folder.
        entries: ``layer/variable`` to array.
        licence: of the weights.
        sha256: digest of the content; of the file at ``path`` where empty.
    """

    label: str
    path: Path
    entries: Mapping[str, Array]
    licence: str = "unknown"
    sha256: str = ""


def named_variables(model: Any) -> dict[str, Any]:
    """Return every variable of ``model`` under ``layer/variable``, in the model's order."""
    return {
        f"{layer.name}/{variable_name(variable)}": variable
        for layer in model.layers
        for variable in layer.weights
    }


def lay_nothing(model: Any, source: str) -> WeightsOrigin:
    """Return the origin of a network that stays as it was built."""
    return WeightsOrigin(source=source, loaded_parameters=0, total_parameters=model.count_params())


def require_fit(model: Any, source: Source) -> dict[str, Array]:
    """Return the entries that fit a variable of ``model``, under the variable's name.

    Raises:
        WeightsError: none fits, one has another shape or holds something other than finite
            numbers, or the source is of another network.
    """
    variables = named_variables(model)
    fitting: dict[str, Array] = {}
    for name, variable in variables.items():
        array = source.entries.get(name, source.entries.get(_other_name(name)))
        if array is not None and _fits(name, variable, array, source.path):
            fitting[name] = array
    if not fitting:
        raise WeightsError(
            f"{source.path}: none of its {len(source.entries)} entries fits {model.name}"
            f" (first: {next(iter(source.entries), 'no entry')}); give weights of this network"
        )
    _require_same_network(model, source, variables, fitting)
    return fitting


def lay(model: Any, sources: Sequence[Source], *, label: str = "") -> WeightsOrigin:
    """Lay every source into ``model``, all or none of them, and return what became of it.

    Args:
        model: changed in place.
        sources: at least one; where two hold one variable the later wins.
        label: what the origin says; the labels of ``sources`` by default.

    Raises:
        WeightsError: as ``require_fit``; nothing was laid in.
    """
    variables = named_variables(model)
    fitting: dict[str, Array] = {}
    unused: list[str] = []
    for source in sources:
        fits = require_fit(model, source)
        fitting |= fits
        used = fits.keys() | {_other_name(name) for name in fits}
        unused += [name for name in source.entries if name not in used]
    for name, array in fitting.items():
        variables[name].assign(np.asarray(array, dtype=variables[name].dtype.as_numpy_dtype))
    digests = [source.sha256 or digest_of_file(source.path) for source in sources]
    return WeightsOrigin(
        source=label or " + ".join(source.label for source in sources),
        licence=", ".join(dict.fromkeys(source.licence for source in sources)),
        sha256=digests[0] if len(digests) == 1 else digest_of(digests),
        loaded_parameters=sum(array.size for array in fitting.values()),
        total_parameters=model.count_params(),
        random_variables=tuple(name for name in variables if name not in fitting),
        unused_entries=tuple(unused),
    )


def describe_origin(origin: WeightsOrigin) -> tuple[str, ...]:
    """Return what was loaded, what stayed random and what was left over, as short lines."""
    if origin.sha256 is None:
        return (f"weights: {origin.source}; all {origin.total_parameters:,} parameters are random",)
    share = 100 * origin.loaded_parameters / origin.total_parameters
    licence = f" ({origin.licence})" if origin.licence else ""
    lines = [
        f"weights: {origin.source}{licence}: {origin.loaded_parameters:,} of"
        f" {origin.total_parameters:,} parameters ({share:.1f} %)"
    ]
    if origin.random_variables:
        lines.append(f"stayed random: {_by_layer(origin.random_variables)}")
    if origin.unused_entries:
        lines.append(f"left over: {_by_layer(origin.unused_entries)}")
    return tuple(lines)


def _by_layer(names: Iterable[str]) -> str:
    layers = _layers_of(names)
    shown = ", ".join(layers[:_SHOWN])
    more = len(layers) - _SHOWN
    return f"{shown} and {more} more layers" if more > 0 else shown


def _layers_of(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.rpartition("/")[0] or name for name in names))


def _other_name(name: str) -> str:
    """Return the name that newer versions of Keras give the same variable."""
    layer, _, variable = name.rpartition("/")
    return f"{layer}/kernel" if variable == "depthwise_kernel" else name


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
            f"{path}: layer {layer}: {name} holds something other than finite numbers; give the"
            " weights of a training that did not run away, or download the file again"
        )
    return True


def _require_same_network(
    model: Any, source: Source, variables: Mapping[str, Any], fitting: Mapping[str, Array]
) -> None:
    own = set(_layers_of(variables)) - {HEAD_LAYER}
    theirs = set(_layers_of(source.entries)) - {HEAD_LAYER}
    lacking = own - set(_layers_of(fitting))
    unknown = sorted(theirs - own)
    if len(theirs) < _FOREIGN_LAYERS:
        return
    if len(lacking) > _FOREIGN_SHARE * len(own) and len(unknown) > _FOREIGN_SHARE * len(theirs):
        raise WeightsError(
            f"{source.path}: {len(unknown)} of its {len(theirs)} layers are unknown to"
            f" {model.name} (such as {unknown[0]}), which finds {len(lacking)} of its own"
            f" {len(own)} missing (such as {sorted(lacking)[0]}); give weights of this network"
        )
