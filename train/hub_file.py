"""How a network with a hub's model inside is kept: the SavedModel lies beside the Keras file.

The Keras file then names the folder, by the digest of what is in it, and no path of a machine; so
an artifact can be moved. On opening, the folder is checked against that digest, and again for
operators that do more than arithmetic.
"""

import contextlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from train.errors import ArtifactError, WeightsError
from train.hub import digest_of_model, files_of_model, register_hub_layer
from train.hub_safety import require_harmless
from train.keras_safety import HUB_CLASS, parts_of

_CONFIG = "config.json"
_FOLDER = re.compile(r"hub-[0-9a-f]{32}")


def holds_hub_model(config: Any) -> bool:
    """Return whether a network's configuration has a ``hub.KerasLayer``."""
    return bool(_hub_configs(config))


def keep_hub_models(keras_file: Path, folder: Path) -> None:
    """Copy the hub's models of a network into ``folder`` and let its file name them there.

    Args:
        keras_file: as Keras wrote it; changed in place. One without a hub's model stays as it is.
        folder: where the Keras file will stand; gains ``hub-<digest>`` for each model.

    Raises:
        ArtifactError: a model cannot be read or copied.
    """

    def keep(handle: str) -> str:
        source = Path(handle)
        try:
            name = f"hub-{digest_of_model(source)[:32]}"
            for path in files_of_model(source):
                target = folder / name / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        except (OSError, WeightsError) as error:
            raise ArtifactError(f"{folder}: the hub's model cannot be kept: {error}") from error
        return name

    _rename_handles(keras_file, keras_file, keep)


@contextlib.contextmanager
def opened_hub_models(keras_file: Path) -> Iterator[Path]:
    """Yield a Keras file that can be opened here: the same, or a copy that names full paths.

    Raises:
        ArtifactError: a hub's model is not beside the file, is damaged, or is refused.
    """

    def find(handle: str) -> str:
        folder = keras_file.parent / handle
        if not _FOLDER.fullmatch(handle) or not folder.is_dir():
            raise ArtifactError(
                f"{keras_file} needs the hub's model {handle!r} beside it; copy the whole artifact"
            )
        try:
            require_harmless(folder)
            sound = handle == f"hub-{digest_of_model(folder)[:32]}"
        except WeightsError as error:
            raise ArtifactError(f"{keras_file}: {error}") from error
        if not sound:
            raise ArtifactError(f"{folder} is damaged: it has another digest; copy it again")
        return str(folder.resolve())

    with zipfile.ZipFile(keras_file) as archive:
        held = holds_hub_model(json.loads(archive.read(_CONFIG)))
    if not held:
        yield keras_file
        return
    register_hub_layer()
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / keras_file.name
        _rename_handles(keras_file, copy, find)
        yield copy


def _rename_handles(source: Path, target: Path, rename: Callable[[str], str]) -> None:
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members[_CONFIG])
    layers = _hub_configs(config)
    for layer in layers:
        layer["handle"] = rename(str(layer["handle"]))
    if not layers and source == target:
        return
    members[_CONFIG] = json.dumps(config).encode()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _hub_configs(config: Any) -> list[dict[str, Any]]:
    """Return the settings of every ``hub.KerasLayer``, at any depth."""
    return [
        part["config"]
        for part in parts_of(config)
        if part.get("class_name") == HUB_CLASS
        and isinstance(part.get("config"), dict)
        and "handle" in part["config"]
    ]
