"""Where a network's first weights come from, and how much of it they cover.

A source is read as named arrays (``layer/variable``) and laid into the network by name; what
found no place and what stayed random is recorded, never guessed at. A ``.weights.h5`` may have no
names: it is read by position, which the origin says. No source is ever executed: PyTorch files are
read by ``torch_pickle``, Keras files as plain HDF5.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from train.artifact import WeightsOrigin
from train.errors import WeightsError
from train.hub import DEFAULT_HANDLE, hub_identity
from train.hub_network import network_from_hub
from train.keras_weights import KERAS_FILES, obtain
from train.networks import FROM_KERAS_APPLICATION, NETWORKS
from train.networks.lite_trio import BACKBONES, backbone_entries
from train.pixels import Pixels
from train.storage import cache_folder, digest_of_file
from train.torch_pickle import Array, read_torch_weights
from train.weight_files import READERS, Found, read_legacy_h5
from train.weight_packages import PACKAGES, from_torch, package_version, packaged_weights
from train.weight_places import (
    Source,
    describe_origin,
    lay,
    lay_nothing,
    named_variables,
    require_fit,
)

__all__ = [
    "describe_origin",
    "from_torch",
    "has_published_weights",
    "load_weights",
    "named_variables",
    "network_with_weights",
    "packaged_weights",
    "weights_identity",
]

COMPOSITES: dict[str, Mapping[str, str]] = {"lite-trio": BACKBONES}
"""Networks of several backbones: prefix of a backbone's layers to the network that it is."""
HUB_PREFIX = "hub:"
HUB_HANDLES = {"convnext-tiny": DEFAULT_HANDLE}
"""What ``auto`` asks TensorFlow Hub for, where Keras' published file cannot be had."""


def network_with_weights(
    network: str,
    *,
    image_size: int,
    classes: int,
    source: str = "auto",
    pictures: Callable[[], Pixels] | None = None,
) -> tuple[Any, WeightsOrigin]:
    """Build a network and lay weights into it.

    For ``hub:HANDLE`` the network is our own graph where the model's variables match it, else the
    model itself as a frozen feature extractor under our ``logits``; the origin says which, and why.
    ``auto`` tries the hub last.

    Args:
        network: key of ``train.networks.NETWORKS``.
        image_size: rows and columns of the input, in pixels.
        classes: number of classes.
        source: as for ``load_weights``, or ``hub:HANDLE``.
        pictures: gives photos ``(photo, rows, columns, 3)`` uint8 on which a hub's model and our
            graph must agree, such as the first that will train it; called for a hub's model alone.
            Rendered garments by default, for where there are no photos.

    Raises:
        WeightsError: as ``load_weights``, or the hub's model cannot be had or is refused.
    """

    def from_hub(handle: str) -> tuple[Any, WeightsOrigin]:
        return network_from_hub(
            network,
            handle,
            image_size=image_size,
            classes=classes,
            pictures=pictures() if pictures else None,
        )

    if source.startswith(HUB_PREFIX):
        return from_hub(source.removeprefix(HUB_PREFIX))
    model = NETWORKS[network](image_size=image_size, classes=classes)
    origin = load_weights(model, network=network, source=source)
    if source != "auto" or origin.loaded_parameters or network not in HUB_HANDLES:
        return model, origin
    try:
        return from_hub(HUB_HANDLES[network])
    except WeightsError as error:
        reason = _without_cache(error)
        told = origin.model_copy(update={"source": f"{origin.source}; TensorFlow Hub: {reason}"})
        return model, told


def has_published_weights(network: str) -> bool:
    """Return whether ``auto`` knows a place that weights of this network come from."""
    return network in PACKAGES or network in KERAS_FILES or network in COMPOSITES


def load_weights(model: Any, *, network: str, source: str = "auto") -> WeightsOrigin:
    """Lay weights into ``model`` and return what they were.

    The classifier (``logits``) is loaded where the source's has the same shape; otherwise it
    stays random, for another number of classes is what transfer learning is for. Any other
    layer of another shape is an error.

    Args:
        model: a network from ``train.networks``, changed in place.
        network: its name, such as ``efficientnet-lite0``.
        source: ``auto``: the user's cache, the network's package or the file that Keras
            publishes, else random, and the origin says why; ``none``: random; else a file:
            ``.npz`` keyed ``layer/variable`` in our names or those of Keras Applications,
            ``.h5`` or ``.keras`` of the same network, alone or inside another, ``.weights.h5`` of
            the same, by Keras 3 or of our very graph, or ``.pth`` of an EfficientNet-Lite. Of a
            network of several backbones, those that a file holds
            nothing of are treated as under ``auto``. For a hub's model see
            ``network_with_weights``.

    Raises:
        WeightsError: the file is missing, damaged, of an unknown kind or of another network, or
            has another shape than a layer of the same name. Never for ``auto``.
    """
    if source == "none":
        return lay_nothing(model, "random")
    if source == "auto":
        return _lay_auto(model, COMPOSITES.get(network, {"": network}))
    path = Path(source)
    found = _read(model, path, network)
    label = f"file {path.name}, {found.note}" if found.note else f"file {path.name}"
    file = Source(label=label, path=path, entries=found.entries)
    fits = require_fit(model, file)
    others = _backbones_outside(network, fits)
    return _lay_auto(model, others, file) if others else lay(model, [file])


def weights_identity(network: str, source: str) -> str:
    """Return what ``load_weights`` would load, by content or version and not by its path.

    ``auto`` of a network whose weights Keras publishes brings the file into the cache first, so
    that a training that is killed and started again begins from the same weights.

    Raises:
        WeightsError: ``source`` is a file or a hub's model that cannot be read.
    """
    if source == "none":
        return source
    if source == "auto":
        return " + ".join(map(_auto_identity, COMPOSITES.get(network, {"": network}).values()))
    if source.startswith(HUB_PREFIX):
        return hub_identity(source.removeprefix(HUB_PREFIX))
    try:
        content = f"file {digest_of_file(Path(source))}"
    except OSError as error:
        reason = error.strerror or error
        raise WeightsError(
            f"--weights {source}: {reason}; give auto, none or the path of a weights file"
        ) from error
    others = COMPOSITES.get(network, {}).values()  # packages serve what the file does not hold
    return " + ".join([content, *(_auto_identity(name) for name in others if name in PACKAGES)])


def _auto_identity(network: str) -> str:
    if network in PACKAGES:
        name, version = PACKAGES[network].distribution, package_version(network)
        return f"{name} {version}" if version else f"{name} is not installed"
    if network not in KERAS_FILES:
        return "random"
    try:
        path = obtain(KERAS_FILES[network])
    except WeightsError:
        return _identity_without(KERAS_FILES[network].name, HUB_HANDLES.get(network, ""))
    return f"{path.name} {KERAS_FILES[network].digest or digest_of_file(path)}"


def _identity_without(file: str, handle: str) -> str:
    """Return what ``auto`` loads where Keras' file cannot be had: the hub's model, or nothing."""
    if not handle:
        return f"random without {file}"
    try:
        return hub_identity(handle)
    except WeightsError:
        return f"random without {file} and {handle}"


def _published(network: str) -> Source:
    """Return the network's published weights.

    Raises:
        WeightsError: they cannot be had, and why; without words where none are known.
    """
    if network in PACKAGES:
        return _packaged(network)
    if network not in KERAS_FILES:
        raise WeightsError
    file = KERAS_FILES[network]
    path = obtain(file)
    return Source(
        label=f"Keras Applications {file.name}",
        path=path,
        entries=FROM_KERAS_APPLICATION[network](read_legacy_h5(path, None).entries),
        licence=file.licence,
    )


def _packaged(network: str) -> Source:
    package, version = PACKAGES[network], package_version(network)
    if version is None:
        raise WeightsError(f"package {package.distribution} is not installed")
    path = packaged_weights(network)
    return Source(
        label=f"package {package.distribution} {version}",
        path=path,
        entries=from_torch(package.kind, read_torch_weights(path)),
        licence=package.licence,
    )


def _lay_auto(model: Any, backbones: Mapping[str, str], *given: Source) -> WeightsOrigin:
    """Lay in what is given and what is published for each backbone.

    A backbone whose weights cannot be had stays random, and the label says why.
    """
    sources, labels = list(given), [source.label for source in given]
    for prefix, network in backbones.items():
        try:
            source = _published(network)
            if prefix:
                source = replace(source, entries=backbone_entries(prefix, source.entries))
            require_fit(model, source)
        except WeightsError as error:
            reason = _without_cache(error)
            what = f"random ({reason})" if reason else "random"
            labels.append(f"{network}: {what}" if prefix else what)
            continue
        sources.append(source)
        labels.append(source.label)
    label = " + ".join(labels)
    return lay(model, sources, label=label) if sources else lay_nothing(model, label)


def _without_cache(error: WeightsError) -> str:
    return str(error).replace(f"{cache_folder()}/", "")  # no path of a machine


def _backbones_outside(network: str, fits: Mapping[str, Array]) -> dict[str, str]:
    """Return the backbones of a composite that a file holds nothing of."""
    return {
        prefix: backbone
        for prefix, backbone in COMPOSITES.get(network, {}).items()
        if not any(name.startswith(prefix) for name in fits)
    }


def _read(model: Any, path: Path, network: str) -> Found:
    if not path.is_file():
        raise WeightsError(
            f"weights {str(path)!r} is neither auto, none, hub:HANDLE nor a file that exists;"
            " give one of them"
        )
    if path.suffix == ".pth":
        if network not in PACKAGES:
            raise WeightsError(
                f"{path}: a PyTorch file fits {', '.join(PACKAGES)}, not {network};"
                " give an .npz, .weights.h5, .h5 or .keras file"
            )
        return Found(entries=from_torch(PACKAGES[network].kind, read_torch_weights(path)))
    for ending, reader in READERS.items():
        if path.name.endswith(ending):
            found = reader(path, model)
            translate = FROM_KERAS_APPLICATION.get(network)
            return replace(found, entries=translate(found.entries)) if translate else found
    raise WeightsError(
        f"{path}: weights end in .pth, {', '.join(READERS)}; this file is of another kind"
    )
