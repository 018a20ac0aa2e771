"""What a model file says about itself: labels, pixel contract, variant and producer.

In ``.onnx`` these are ``metadata_props``. In ``.tflite`` they are a metadata buffer named
``threadlite``, and ``labels.txt`` is attached as a zip archive behind the flatbuffer, where
readers of TensorFlow Lite metadata look for associated files. Neither changes what the model
computes. No date is written: equal models stay equal byte for byte.
Source: https://ai.google.dev/edge/litert/models/metadata
"""

import io
import json
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from optimize.tflite_file import LABELS_NAME, with_entry, with_labels
from train.artifact import Manifest
from train.errors import ArtifactError
from train.pixels import PixelContract
from train.variant import Variant

_ENTRY = "threadlite"


class Nameplate(BaseModel):
    """What a deployed model says about itself.

    Attributes:
        labels: the classes, in the order of the outputs.
        pixels: what it must be fed.
        variant: its name (see ``train.variant``).
        producer: program and version that wrote it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: tuple[str, ...] = Field(min_length=2)
    pixels: PixelContract
    variant: str
    producer: str


def nameplate_for(manifest: Manifest, variant: Variant) -> Nameplate:
    """Return the nameplate of ``variant``, made from the artifact that ``manifest`` describes."""
    return Nameplate(
        labels=manifest.labels,
        pixels=manifest.pixels,
        variant=str(variant),
        producer=f"threadlite {version('threadlite')}",
    )


def with_tflite_nameplate(content: bytes, nameplate: Nameplate) -> bytes:
    """Return the ``.tflite`` bytes with the nameplate written in and the labels attached."""
    plate = nameplate.model_dump_json().encode()
    return with_labels(with_entry(content, _ENTRY, plate), nameplate.labels)


def write_onnx_nameplate(model: Any, nameplate: Nameplate) -> None:
    """Write the nameplate into the ``metadata_props`` of an ``onnx.ModelProto``."""
    del model.metadata_props[:]
    for key, value in nameplate.model_dump(mode="json").items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        model.metadata_props.add(key=key, value=text)


def read_nameplate(model: Path) -> Nameplate | None:
    """Return what a ``.tflite`` or ``.onnx`` says about itself; ``None`` if it says nothing.

    Raises:
        ArtifactError: the file cannot be read, its nameplate is broken, or the labels attached
            to it are missing or differ from the nameplate's.
    """
    try:
        if model.suffix == ".onnx":
            return _read_onnx(model)
        return _read_tflite(model)
    except (ValidationError, zipfile.BadZipFile, KeyError, UnicodeDecodeError, OSError) as error:
        first = str(error).splitlines()[0]
        raise ArtifactError(
            f"{model}: the labels inside cannot be read ({first}); the file was cut short or"
            " altered: make it again"
        ) from error


def _read_onnx(model: Path) -> Nameplate | None:
    import onnx

    try:
        proto = onnx.load(model, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError is not a public class of onnx
        raise ArtifactError(f"{model}: not a readable ONNX file; make it again") from error
    found = {item.key: item.value for item in proto.metadata_props}
    if "variant" not in found:
        return None
    try:
        fields = {key: json.loads(found[key]) for key in ("labels", "pixels")}
        return Nameplate(**fields, variant=found["variant"], producer=found["producer"])
    except (KeyError, ValueError) as error:  # a broken JSON and a broken nameplate alike
        raise ArtifactError(f"{model}: its metadata is damaged; make it again") from error


def _read_tflite(model: Path) -> Nameplate | None:
    from ai_edge_litert import schema_py_generated as schema

    content = model.read_bytes()
    if content[4:8] != b"TFL3":
        raise ArtifactError(f"{model}: not a .tflite file; make it again")
    text = _metadata_text(schema.Model.GetRootAs(content, 0))
    if text is None:
        return None
    nameplate = Nameplate.model_validate_json(text)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        labels = tuple(archive.read(LABELS_NAME).decode().removesuffix("\n").split("\n"))
    if labels != nameplate.labels:
        raise ArtifactError(f"{model}: {LABELS_NAME} inside differs from the nameplate's labels")
    return nameplate


def _metadata_text(root: Any) -> bytes | None:
    for index in range(root.MetadataLength()):
        entry = root.Metadata(index)
        if entry.Name() == _ENTRY.encode():
            return bytes(root.Buffers(entry.Buffer()).DataAsNumpy())
    return None
