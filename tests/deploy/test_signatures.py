"""Models of another signature than ours are refused: opened, bundled and in a sealed bundle."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from deploy.bundle import write_bundle
from deploy.runtime import open_runtime, runtime_for
from deploy.verify import verify_bundle
from tests.deploy.sealing import seal_again
from train.artifact import Artifact, Step, derive_artifact
from train.backend import tensorflow
from train.chatter import native_chatter_hidden
from train.errors import ArtifactError, RuntimeFailure
from train.variant import Format

FORMATS: tuple[Format, ...] = ("tflite", "onnx")
# How each bends the signature: what is made of it and how it is refused.
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "two inputs": ({"inputs": 2}, "it has 2 inputs and 1 outputs, must have 1 and 1"),
    "a dynamic batch": ({"batch": None}, r"its shapes .* are not static"),
    "dynamic sides": ({"side": None}, r"its shapes .* are not static"),
    "float claimed as uint8": ({"kind": "float32"}, r"its input is float32 .*, must be uint8"),
}


def a_tflite(
    *, inputs: int = 1, kind: str = "uint8", batch: int | None = 1, side: int | None = 32
) -> bytes:
    """Return a ``.tflite`` that gives the mean of each channel: 3 values."""
    tf = tensorflow()
    sizes = (batch, side, side, 3)
    specs = [tf.TensorSpec(sizes, tf.dtypes.as_dtype(kind), name=f"x{n}") for n in range(inputs)]

    def means(*pictures: Any) -> Any:
        return tf.reduce_mean(sum(tf.cast(picture, tf.float32) for picture in pictures), (1, 2))

    function = tf.function(means, input_signature=specs, autograph=False)
    with native_chatter_hidden():
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [function.get_concrete_function()], function
        )
        return bytes(converter.convert())


def an_onnx(
    *, inputs: int = 1, kind: str = "uint8", batch: int | None = 1, side: int | None = 32
) -> bytes:
    """Return an ``.onnx`` that does the same."""
    number = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}[kind]
    sizes = [batch or "n", side or "s", side or "s", 3]
    taken = [helper.make_tensor_value_info(f"x{n}", number, sizes) for n in range(inputs)]
    given = helper.make_tensor_value_info("means", TensorProto.FLOAT, [batch or "n", 3])
    nodes = [
        helper.make_node("Cast", ["x0"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["cast", "axes"], ["means"], keepdims=0),
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])
    graph = helper.make_graph(nodes, "other", taken, [given], [axes])
    sets = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=10)
    return bytes(onnx.ModelProto.SerializeToString(model))


MAKERS: dict[Format, Callable[..., bytes]] = {"tflite": a_tflite, "onnx": an_onnx}


def artifact_of(parent: Artifact, target: Format, content: bytes, folder: Path) -> Artifact:
    """Write a model of another making as a variant of the tiny network."""
    digest = parent.manifest.payload_sha256
    return derive_artifact(
        folder,
        parent,
        fill=lambda path: path.write_bytes(content),
        variant=parent.manifest.name.as_format(target),
        step=Step(technique="convert", config={}, parent_sha256=digest),
    )


@pytest.fixture(scope="module", params=FORMATS)
def sealed(
    request: pytest.FixtureRequest,
    variants: dict[str, Artifact],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Format, Path]:
    """Return a format, and a sound bundle of one model of it."""
    target: Format = request.param
    folder = tmp_path_factory.mktemp("sealed") / "bundle"
    write_bundle([variants[f"float.{target}"]], folder)
    return target, folder


def test_the_models_made_here_run_where_nothing_is_bent(tmp_path: Path) -> None:
    for target, make in MAKERS.items():
        path = tmp_path / f"model.{target}"
        path.write_bytes(make())
        with open_runtime(path, runtime_for(target)) as runtime:
            assert (runtime.input_shape, runtime.classes) == ((1, 32, 32, 3), 3)


@pytest.mark.parametrize(("bent", "message"), CASES.values(), ids=CASES.keys())
def test_another_signature_is_refused_wherever_it_comes_in(
    sealed: tuple[Format, Path],
    parent: Artifact,
    tmp_path: Path,
    bent: dict[str, Any],
    message: str,
) -> None:
    target, sound = sealed
    content = MAKERS[target](**bent)
    odd = artifact_of(parent, target, content, tmp_path / "odd")
    with pytest.raises(RuntimeFailure, match=message):
        open_runtime(odd.payload, runtime_for(target))
    with pytest.raises(RuntimeFailure, match=message):
        write_bundle([odd], tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    shutil.copytree(sound, tmp_path / "sealed")
    (tmp_path / "sealed" / f"model.{target}").write_bytes(content)
    seal_again(tmp_path / "sealed")
    with pytest.raises(RuntimeFailure, match=message):
        verify_bundle(tmp_path / "sealed")


@pytest.mark.parametrize("target", FORMATS)
def test_another_number_of_outputs_than_labels_is_refused(
    parent: Artifact, tmp_path: Path, target: Format
) -> None:
    odd = artifact_of(parent, target, MAKERS[target](), tmp_path / "odd")
    four = odd.manifest.model_copy(update={"labels": ("Hat", "Shirt", "Shoes", "Skirt")})
    with pytest.raises(ArtifactError, match="gives 3 probabilities for 4 labels; make it again"):
        write_bundle([Artifact(folder=odd.folder, manifest=four)], tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
