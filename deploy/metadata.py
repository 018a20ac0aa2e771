"""Model metadata, written into the model files themselves when they are deployed.

A ``.tflite`` gets TensorFlow Lite's own metadata (see ``metadata_table``) with ``labels.txt``
attached behind the flatbuffer, so that MediaPipe Tasks and Android Studio know the labels and
what goes in; an ``.onnx`` gets the same facts as ``metadata_props``. Nothing that is computed
changes, and no date is written: equal models stay equal byte for byte.
Source: https://ai.google.dev/edge/litert/models/metadata
"""

import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

from deploy.metadata_table import ModelCard, decode_card, encode_card
from optimize.tflite_file import LABELS_NAME, with_entry, with_labels
from train.errors import ArtifactError

_ENTRY = "TFLITE_METADATA"  # the name that readers of the metadata look for
_PREFIX = "card."  # keeps these properties apart from the nameplate's


def with_metadata(content: bytes, suffix: str, card: ModelCard, labels: tuple[str, ...]) -> bytes:
    """Return the bytes of a model file with its metadata written in.

    Args:
        content: of a ``.tflite`` or ``.onnx``.
        suffix: which of them, ``.tflite`` or ``.onnx``.
        card: what the metadata says.
        labels: classes in the order of the outputs.
    """
    if suffix == ".onnx":
        return _with_properties(content, card)
    return with_labels(with_entry(content, _ENTRY, encode_card(card)), labels)


def read_metadata(model: Path) -> ModelCard:
    """Return what the metadata in a ``.tflite`` or ``.onnx`` says.

    Raises:
        ArtifactError: there is none, it cannot be read, or the file that it names as the labels
            is not attached.
    """
    try:
        return _read_properties(model) if model.suffix == ".onnx" else _read_buffer(model)
    except ArtifactError as error:
        raise ArtifactError(f"{model}: {error}; deploy it again") from error


def attached_labels(model: Path, name: str = LABELS_NAME) -> tuple[str, ...]:
    """Return the labels attached to a ``.tflite``.

    Raises:
        ArtifactError: no such file is attached.
    """
    try:
        with zipfile.ZipFile(model) as archive:
            return tuple(archive.read(name).decode().removesuffix("\n").split("\n"))
    except (OSError, KeyError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{model}: no file {name!r} is attached; deploy it again") from error


def _with_properties(content: bytes, card: ModelCard) -> bytes:
    import onnx

    model = onnx.load_model_from_string(content)
    model.doc_string = card.description
    kept = [item for item in model.metadata_props if not item.key.startswith(_PREFIX)]
    found = {item.key: item.value for item in kept}
    for field in fields(card):
        value = getattr(card, field.name)
        found[_PREFIX + field.name] = (
            f"{value[0]:g} {value[1]:g}" if field.name == "input_range" else str(value)
        )
    del model.metadata_props[:]
    for key, text in found.items():
        model.metadata_props.add(key=key, value=text)
    return bytes(model.SerializeToString(deterministic=True))


def _read_buffer(model: Path) -> ModelCard:
    from ai_edge_litert import schema_py_generated as schema

    content = model.read_bytes()
    if content[4:8] != b"TFL3":
        raise ArtifactError("not a .tflite file")
    root = schema.Model.GetRootAs(content, 0)
    for index in range(root.MetadataLength()):
        entry = root.Metadata(index)
        if entry.Name() == _ENTRY.encode():
            card = decode_card(bytes(root.Buffers(entry.Buffer()).DataAsNumpy()))
            attached_labels(model, card.labels_file)
            return card
    raise ArtifactError(f"holds no {_ENTRY}")


def _read_properties(model: Path) -> ModelCard:
    import onnx

    try:
        proto = onnx.load(model, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError is not a public class of onnx
        raise ArtifactError("not a readable ONNX file") from error
    found = {item.key: item.value for item in proto.metadata_props}
    try:
        values: dict[str, Any] = {
            field.name: found[_PREFIX + field.name] for field in fields(ModelCard)
        }
        least, greatest = values["input_range"].split(" ")
        values["input_range"] = (float(least), float(greatest))
        values["height"], values["width"] = int(values["height"]), int(values["width"])
    except (KeyError, ValueError) as error:
        raise ArtifactError(f"its property {error} is missing or no number") from error
    return ModelCard(**values)
