"""Both runtimes behind one protocol: the same pictures, the same answers, plain refusals."""

import ctypes.util
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from deploy.golden import tolerance_for
from deploy.litert import open_litert
from deploy.loaded import LoadedModel, Quantization, require_signature
from deploy.runtime import RUNTIMES, open_runtime, runtime_for
from tests.tiny_models import pictures
from train.artifact import Artifact
from train.errors import RuntimeFailure, UsageError
from train.pixels import Pixels

KEYS = ("float.tflite", "int8.tflite", "float.onnx", "int8.onnx")


def _open(artifact: Artifact, threads: int = 1):
    runtime = runtime_for(artifact.manifest.name.format)
    return open_runtime(artifact.payload, runtime, threads=threads)


@pytest.mark.parametrize("key", KEYS)
def test_every_variant_gives_probabilities(variants: dict[str, Artifact], key: str) -> None:
    with _open(variants[key]) as runtime:
        assert runtime.input_shape == (1, 32, 32, 3)
        assert runtime.classes == 3
        assert runtime.name.split()[0] in RUNTIMES
        found = runtime.predict(pictures(5))
    assert found.shape == (5, 3)
    assert found.dtype == np.float32
    # An 8-bit output rounds each of 3 probabilities by at most half a step of 1/256.
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=3 * 0.5 / 256 + 1e-6)


def test_int8_tflite_states_its_quantization(variants: dict[str, Artifact]) -> None:
    with _open(variants["int8.tflite"]) as runtime:
        assert runtime.input_quantization == Quantization(scale=1.0, zero_point=0)
        assert runtime.output_quantization == Quantization(scale=1 / 256, zero_point=0)
    with _open(variants["float.tflite"]) as runtime:
        assert (runtime.input_quantization, runtime.output_quantization) == (None, None)


@pytest.mark.parametrize("key", ["float.tflite", "float.onnx"])
def test_feeding_and_invoking_is_what_predict_does(variants: dict[str, Artifact], key: str) -> None:
    one, other = pictures(2)[:1], pictures(2)[1:]
    with _open(variants[key]) as runtime:
        runtime.invoke()  # fed or not, the bare call runs
        both = runtime.predict(np.concatenate([one, other]))
        np.testing.assert_array_equal(runtime.predict(other)[0], both[1])
        np.testing.assert_array_equal(runtime.predict(one)[0], both[0])
    assert not np.array_equal(both[0], both[1])


@pytest.mark.parametrize("key", KEYS)
def test_one_runtime_a_thread_gives_the_same_answers(
    variants: dict[str, Artifact], key: str
) -> None:
    photos = pictures(16)

    def classify(_: int) -> np.ndarray:
        with _open(variants[key]) as runtime:
            return runtime.predict(photos)

    with ThreadPoolExecutor(max_workers=4) as pool:
        first, *others = pool.map(classify, range(4))
    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("key", ["int8.tflite", "int8.onnx"])
def test_a_closed_runtime_refuses_by_name(variants: dict[str, Artifact], key: str) -> None:
    runtime = _open(variants[key])
    runtime.close()
    runtime.close()
    for call in (runtime.invoke, lambda: runtime.predict(pictures(1))):
        with pytest.raises(RuntimeFailure, match=r"model\..*was closed on .*; open it again"):
            call()


@pytest.mark.parametrize("wrong", [np.zeros((1, 16, 16, 3), np.uint8), np.zeros((1, 32, 32, 3))])
def test_pictures_that_do_not_fit_are_refused(variants: dict[str, Artifact], wrong: Pixels) -> None:
    with (
        _open(variants["float.onnx"]) as runtime,
        pytest.raises(RuntimeFailure, match=r"takes uint8 \(1, 32, 32, 3\), got"),
    ):
        runtime.predict(wrong)


@pytest.mark.parametrize("key", ["float.tflite", "int8.tflite", "float.onnx", "int8.onnx"])
def test_a_file_cut_anywhere_is_refused_and_crashes_nothing(
    variants: dict[str, Artifact], tmp_path: Path, key: str
) -> None:
    content = variants[key].payload.read_bytes()
    chooser = random.Random(0)
    cuts = [0, 1, 7, 8, len(content) - 1, *(chooser.randrange(len(content)) for _ in range(20))]
    path = tmp_path / variants[key].payload.name
    for cut in cuts:
        path.write_bytes(content[:cut])
        with pytest.raises(RuntimeFailure, match=path.name):
            open_runtime(path, runtime_for(variants[key].manifest.name.format))


@pytest.mark.parametrize("name", ["model.tflite", "model.onnx"])
def test_files_that_are_no_models_are_refused(tmp_path: Path, name: str) -> None:
    runtime = runtime_for("onnx" if name.endswith("onnx") else "tflite")
    with pytest.raises(RuntimeFailure, match="no such file"):
        open_runtime(tmp_path / name, runtime)
    (tmp_path / name).write_text("these are words and no model at all\n" * 20)
    with pytest.raises(RuntimeFailure, match="make it again"):
        open_runtime(tmp_path / name, runtime)


def test_wrong_usage_is_answered(variants: dict[str, Artifact]) -> None:
    payload = variants["float.onnx"].payload
    with pytest.raises(UsageError, match="runtime 'tvm' is not one of litert, onnxruntime"):
        open_runtime(payload, "tvm")
    with pytest.raises(UsageError, match="threads must be at least 1, got 0"):
        open_runtime(payload, "onnxruntime", threads=0)
    with pytest.raises(RuntimeFailure, match=r"litert runs \.tflite files"):
        open_runtime(payload, "litert")
    with pytest.raises(UsageError, match="no runtime runs 'keras'"):
        runtime_for("keras")


def test_a_model_with_a_free_batch_is_refused(tmp_path: Path) -> None:
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 4, 4, 3])
    found = helper.make_tensor_value_info("found", TensorProto.UINT8, ["n", 4, 4, 3])
    node = helper.make_node("Identity", ["pixels"], ["found"])
    model = helper.make_model(
        helper.make_graph([node], "free", [pixels], [found]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.save(model, tmp_path / "free.onnx")
    with pytest.raises(RuntimeFailure, match=r"free\.onnx: its shapes .* are not static"):
        open_runtime(tmp_path / "free.onnx", "onnxruntime")


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([((1, 8, 8, 3), "uint8")] * 2, [((1, 3), "uint8")], "2 inputs and 1 outputs"),
        ([((1, 8, 8, 3), "float32")], [((1, 3), "uint8")], "its input is float32"),
        ([((2, 8, 8, 3), "uint8")], [((2, 3), "uint8")], r"must be uint8 \(1, h, w, 3\)"),
        ([((1, 8, 8, 3), "uint8")], [((1, 3, 1), "uint8")], r"must be \(1, classes\)"),
    ],
)
def test_other_signatures_are_refused(inputs: list, outputs: list, message: str) -> None:
    with pytest.raises(RuntimeFailure, match=message):
        require_signature("model.onnx", inputs, outputs)


class _Fixed(LoadedModel):
    """A runtime that answers 0, 64 and 255 in 8 bits."""

    model, name, input_shape, classes = "fixed", "fixed 1", (1, 2, 2, 3), 3
    output_quantization = Quantization(scale=0.5, zero_point=64)

    def invoke(self) -> None:
        self.require_open()

    def _set_input(self, pixels: Pixels) -> None: ...

    def _raw_output(self) -> np.ndarray:
        return np.array([0, 64, 255], np.uint8)

    def _free(self) -> None: ...


def test_dequantization_by_hand() -> None:
    # scale * (integer - zero point): 0.5 * (0 - 64), 0.5 * 0, 0.5 * (255 - 64)
    with _Fixed() as runtime:
        found = runtime.predict(np.zeros((1, 2, 2, 3), np.uint8))
    assert found.tolist() == [[-32.0, 0.0, 95.5]]


@pytest.mark.parametrize("key", ["float.tflite", "int8.tflite"])
def test_tensorflows_own_interpreter_agrees(variants: dict[str, Artifact], key: str) -> None:
    photos = pictures(6)
    with _open(variants[key]) as shipped, open_runtime(variants[key].payload, "tensorflow") as own:
        assert own.name.startswith("tensorflow 2.")
        assert (own.input_shape, own.classes) == (shipped.input_shape, shipped.classes)
        assert own.output_quantization == shipped.output_quantization
        # Other kernels sum in another order; an 8-bit operator may round apart by one step.
        bound = 1e-5 if key == "float.tflite" else tolerance_for("int8")
        np.testing.assert_allclose(own.predict(photos), shipped.predict(photos), atol=bound)


def test_tensorflows_own_interpreter_refuses_what_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"no model")
    with pytest.raises(RuntimeFailure, match=r"model\.tflite: tensorflow 2\S+ cannot load it"):
        open_runtime(path, "tensorflow")
    with pytest.raises(RuntimeFailure, match=r"tensorflow runs \.tflite files"):
        open_runtime(tmp_path / "model.onnx", "tensorflow")


@pytest.mark.parametrize(
    ("key", "runtime", "accelerator"),
    [
        ("float.tflite", "litert", "builtin"),
        ("int8.tflite", "litert", "builtin"),
        ("float.tflite", "tensorflow", "builtin"),
        ("float.onnx", "onnxruntime", "CPUExecutionProvider"),
    ],
)
def test_what_runs_the_operators_can_be_chosen_and_is_told(
    variants: dict[str, Artifact], key: str, runtime: str, accelerator: str
) -> None:
    photos, path = pictures(6), variants[key].payload
    with (
        open_runtime(path, runtime) as usual,
        open_runtime(path, runtime, accelerators=[accelerator]) as chosen,
    ):
        assert chosen.name == f"{usual.name} ({accelerator})"
        # Other kernels sum in another order; an 8-bit operator may round apart by one step.
        bound = tolerance_for("int8") if key.startswith("int8") else 1e-5
        np.testing.assert_allclose(chosen.predict(photos), usual.predict(photos), atol=bound)


def test_builtin_leaves_xnnpack_out(variants: dict[str, Artifact]) -> None:
    def operators(accelerators: list[str]) -> set[str]:
        with open_litert(
            variants["float.tflite"].payload, threads=1, accelerators=accelerators
        ) as model:
            return {item["op_name"] for item in model._interpreter._get_ops_details()}

    assert "DELEGATE" in operators([])
    assert "DELEGATE" not in operators(["builtin"])


def test_accelerators_that_are_not_there_are_refused(
    variants: dict[str, Artifact], tmp_path: Path
) -> None:
    (tmp_path / "lib.so").write_text("no library")
    another = ctypes.util.find_library("c")
    assert another is not None
    for runtime in ("litert", "tensorflow"):
        for library in (str(tmp_path / "lib.so"), another):  # no library, and no delegate's
            with pytest.raises(RuntimeFailure, match=r"delegate '.*' cannot be loaded \(.*\.so"):
                open_runtime(variants["float.tflite"].payload, runtime, accelerators=[library])
    with pytest.raises(UsageError, match=r"'TPU' is not one of .*CPUExecutionProvider"):
        open_runtime(variants["float.onnx"].payload, "onnxruntime", accelerators=["TPU"])


@pytest.mark.parametrize("key", KEYS)
def test_failures_name_file_and_variant(variants: dict[str, Artifact], key: str) -> None:
    with (
        _open(variants[key]) as runtime,
        pytest.raises(RuntimeFailure, match=rf"model\.\w+ \(tiny\.{key}\): takes uint8"),
    ):
        runtime.predict(np.zeros((1, 8, 8, 3), np.uint8))
