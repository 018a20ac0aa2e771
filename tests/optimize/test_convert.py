"""Float conversion: the same figures in another file, and bad parents refused."""

import gc
import json
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from optimize.convert import converted, export_float, give_stable_names, load_keras, to_onnx
from tests.tiny_models import LABELS, SIDE, tiny_network, write_parent
from train.artifact import Artifact, open_artifact
from train.backend import keras
from train.errors import ArtifactError, ConversionError
from train.networks import NETWORKS, convnext

# Run with another hash seed and a fresh counter of names: neither may show in the files.
WRITER = """
import sys
from pathlib import Path
from tests.tiny_models import write_parent, write_variants
folder = Path(sys.argv[1])
for name, artifact in write_variants(write_parent(folder / "parent"), folder).items():
    print(name, artifact.manifest.payload_sha256)
"""


def test_a_fresh_process_writes_the_same_bytes(
    variants: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "12345")
    told = subprocess.run(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    ).stdout
    theirs = dict(line.split() for line in told.splitlines())
    assert len(theirs) == 4
    for name, digest in theirs.items():
        assert digest == variants[name].manifest.payload_sha256, name


def test_a_second_conversion_in_this_process_writes_the_same_bytes(
    parent: Artifact, variants: dict[str, Artifact], tmp_path: Path
) -> None:
    for target in ("tflite", "onnx"):
        again = export_float(parent, target, tmp_path / target)
        assert again.manifest == variants[f"float.{target}"].manifest


@pytest.mark.parametrize("seed", [4, 5])
def test_the_order_of_the_converters_sets_does_not_show(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 32 px the last map has one place, and seed 4 left its transpose elsewhere."""
    from tf2onnx.graph import Graph

    network = NETWORKS["custom-cnn"](image_size=32, classes=3)
    expected = to_onnx(network).SerializeToString(deterministic=True)
    as_told, draw = Graph.extract_sub_graph_nodes, random.Random(seed)

    def shuffled(graph: Graph, *arguments: object, **options: object) -> list[object]:
        found = sorted(as_told(graph, *arguments, **options), key=lambda node: node.name)
        draw.shuffle(found)
        return found

    monkeypatch.setattr(Graph, "extract_sub_graph_nodes", shuffled)
    assert to_onnx(network).SerializeToString(deterministic=True) == expected


def test_the_manifest_names_variant_step_and_parent(
    parent: Artifact, variants: dict[str, Artifact]
) -> None:
    found = open_artifact(variants["float.onnx"].folder).manifest
    assert found.variant == "tiny.float.onnx"
    assert [step.technique for step in found.steps] == ["train", "convert"]
    assert found.steps[1].parent_sha256 == parent.manifest.payload_sha256
    assert found.steps[1].config == {"format": "onnx", "batch": 1, "opset": 18}
    assert found.labels == LABELS


def test_onnx_is_static_takes_uint8_and_transposes_at_most_twice(
    variants: dict[str, Artifact],
) -> None:
    graph = onnx.load(variants["float.onnx"].payload).graph
    (pixels,) = graph.input
    assert pixels.name == "pixels"
    assert pixels.type.tensor_type.elem_type == TensorProto.UINT8
    assert [size.dim_value for size in pixels.type.tensor_type.shape.dim] == [1, SIDE, SIDE, 3]
    kinds = [node.op_type for node in graph.node]
    # NHWC to the runtime's NCHW before the first convolution and back before the average.
    assert kinds.count("Transpose") <= 2
    assert not {"Shape", "Gather", "BatchNormalization"} & set(kinds)


def test_maps_of_one_place_answer_alike_in_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 32 pixels the last maps of ConvNeXt are 1 x 1, where a transpose moves nothing."""
    narrow = [convnext.Stage(channels=8 + 4 * number, blocks=2) for number in range(4)]
    monkeypatch.setattr(convnext, "STAGES", tuple(narrow))
    network = convnext.build_convnext_tiny(image_size=32, classes=3)
    generator = np.random.default_rng(0)
    for weight in network.weights:
        weight.assign(generator.normal(0.0, 0.3, weight.shape))
    pixels = generator.integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    session = onnxruntime.InferenceSession(to_onnx(network).SerializeToString())
    (found,) = session.run(None, {session.get_inputs()[0].name: pixels})
    # float32 sums of a hundred terms, in another order: some 1e-6 of a probability.
    np.testing.assert_allclose(found, network(pixels.astype(np.float32)), rtol=0, atol=1e-5)
    assert found.max() < 0.99  # an answer that is sure of itself would show no difference


def test_a_converted_artifact_is_no_parent(variants: dict[str, Artifact], tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"tiny\.float\.onnx: only a Keras artifact"):
        export_float(variants["float.onnx"], "tflite", tmp_path / "out")


def test_lambda_layers_are_refused(tmp_path: Path) -> None:
    pixels = keras().Input((SIDE, SIDE, 3), name="pixels")
    x = keras().layers.Lambda(lambda values: values / 255.0, name="sneaky")(pixels)
    x = keras().layers.GlobalAveragePooling2D(name="features")(x)
    model = keras().Model(pixels, x)
    sneaky = write_parent(
        tmp_path / "a", model, save=lambda net, path: net.save(path, save_format="keras")
    )
    with pytest.raises(ConversionError, match=r"tiny\.float\.keras: .* 'sneaky' is a Lambda"):
        load_keras(sneaky)


@pytest.mark.parametrize(
    ("side", "classes", "message"),
    [(16, 3, r"its input is \(None, 16, 16, 3\)"), (SIDE, 4, r"its output is \(None, 4\) for 3")],
)
def test_networks_that_break_their_manifest_are_refused(
    tmp_path: Path, side: int, classes: int, message: str
) -> None:
    pixels = keras().Input((side, side, 3), name="pixels")
    x = keras().layers.GlobalAveragePooling2D(name="features")(pixels)
    model = keras().Model(pixels, keras().layers.Dense(classes, name="logits")(x))
    with pytest.raises(ConversionError, match=message):
        load_keras(write_parent(tmp_path / "a", model))


def test_a_folder_that_exists_is_left_alone(parent: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="exists already"):
        export_float(parent, "onnx", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_converter_raises_becomes_one_line() -> None:
    def fail() -> None:
        raise AssertionError("\nno kernel for Erf\nstack\nstack")

    with pytest.raises(ConversionError, match=r"^net to \.onnx: .*: no kernel for Erf$"):
        converted(fail, "net to .onnx")


def _graph(suffix: str) -> onnx.ModelProto:
    """Two nodes that share a constant, named as by a counter that stands at ``suffix``."""
    first = helper.make_node("Add", ["pixels", f"c{suffix}"], [f"a{suffix}"], f"net/add__{suffix}")
    second = helper.make_node("Mul", [f"a{suffix}", f"c{suffix}"], ["probabilities"], "net/add__9")
    constant = helper.make_tensor(f"c{suffix}", TensorProto.FLOAT, [1], np.ones(1, np.float32))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])
        for name in ("pixels", "probabilities")
    ]
    return helper.make_model(
        helper.make_graph([first, second], suffix, ends[:1], ends[1:], [constant])
    )


def test_names_depend_on_the_graph_alone() -> None:
    one, other = _graph("17"), _graph("4711")
    give_stable_names(one)
    give_stable_names(other)
    assert one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)
    assert [node.name for node in one.graph.node] == ["net/add", "net/add_2"]
    assert list(one.graph.node[1].input) == ["net/add/output0", "net/add/input1"]
    assert list(one.graph.node[1].output) == ["probabilities"]
    onnx.checker.check_model(one)


def test_a_node_with_a_graph_of_its_own_is_refused() -> None:
    proto = _graph("1")
    proto.graph.node[0].attribute.append(helper.make_attribute("body", proto.graph))
    with pytest.raises(ConversionError, match="holds a graph"):
        give_stable_names(proto)


def test_an_operator_outside_onnx_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import tf2onnx

    from optimize.convert import to_onnx

    proto = _graph("1")
    proto.graph.node[0].op_type, proto.graph.node[0].domain = "FlexErf", "ai.onnx.contrib"
    fake = SimpleNamespace(from_function=lambda *_, **__: (proto, None))
    monkeypatch.setattr(tf2onnx, "convert", fake)
    with pytest.raises(ConversionError, match="FlexErf have no counterpart"):
        to_onnx(tiny_network())


def test_the_nameplate_of_an_onnx_file_is_plain_json(variants: dict[str, Artifact]) -> None:
    found = {p.key: p.value for p in onnx.load(variants["int8.onnx"].payload).metadata_props}
    assert json.loads(found["labels"]) == list(LABELS)
    assert json.loads(found["pixels"]) == {"height": 32, "width": 32, "resize": "stretch-bilinear"}
    assert found["variant"] == "tiny.int8.onnx"
    assert found["producer"].startswith("threadlite ")


def test_what_the_converter_copies_is_gone_when_it_is_done() -> None:
    from tf2onnx.graph import Graph

    def graphs() -> int:
        return sum(isinstance(one, Graph) for one in gc.get_objects())

    network = tiny_network()
    gc.collect()
    before, frozen = graphs(), gc.get_freeze_count()
    gc.disable()  # as a collector that counts objects leaves large ones
    try:
        proto = to_onnx(network)
        assert graphs() == before
    finally:
        gc.enable()
    assert proto.graph.node
    assert gc.get_freeze_count() == frozen
