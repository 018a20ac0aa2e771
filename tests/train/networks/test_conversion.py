"""Every network's kinds of layers survive the Keras file and convert: on shrunken copies."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.operators import count_operators
from optimize.convert import to_onnx, to_tflite
from train.keras_file import load_keras, save_keras
from train.networks import (
    NETWORKS,
    convnext,
    efficientnet_lite,
    mobilenet_v2,
    resnet50,
    resnet50_v2,
)
from train.networks.inverted_residual import BlockGroup

SIDE = 64
# Two ends and a halving group with a shortcut: every kind of block that the whole networks have.
GROUPS = (
    BlockGroup(kernel=3, repeats=1, stride=1, expansion=1, channels=8),
    BlockGroup(kernel=5, repeats=2, stride=2, expansion=2, channels=8),
)


@pytest.fixture
def shrunken(monkeypatch: pytest.MonkeyPatch) -> None:
    residual = (
        resnet50.Stage(number=2, channels=4, blocks=2),
        resnet50.Stage(number=3, channels=4, blocks=2),
    )
    monkeypatch.setattr(resnet50, "STAGES", residual)
    monkeypatch.setattr(resnet50_v2, "STAGES", residual)
    stages = tuple(convnext.Stage(channels=channels, blocks=1) for channels in (8, 12))
    monkeypatch.setattr(convnext, "STAGES", stages)
    monkeypatch.setattr(mobilenet_v2, "GROUPS", GROUPS)
    monkeypatch.setattr(efficientnet_lite, "GROUPS", GROUPS)


def reopened(network: str, folder: Path) -> Any:
    """Return the shrunken network with lively weights, out of a file."""
    model = NETWORKS[network](image_size=SIDE, classes=5)
    generator = np.random.default_rng(0)
    for variable in model.weights:
        if variable.shape.rank == 1 or "_scale/" in variable.name:
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    save_keras(model, folder / "network.keras")
    return load_keras(folder / "network.keras")


@pytest.mark.usefixtures("shrunken")
@pytest.mark.parametrize("network", ["resnet50", "resnet50-v2", "convnext-tiny", "lite-trio"])
def test_it_converts_to_both_formats_and_computes_the_same(network: str, tmp_path: Path) -> None:
    model = reopened(network, tmp_path)
    pixels = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3)).astype(np.uint8)
    wanted = model(pixels.astype(np.float32), training=False).numpy()
    (tmp_path / "network.tflite").write_bytes(to_tflite(model))
    (tmp_path / "network.onnx").write_bytes(to_onnx(model).SerializeToString())
    # A probability is at most 1; some 20 layers of float32 lose about 20 x 6e-8 of it, and the
    # softmax multiplies by scores of up to 10.
    for found in (litert(tmp_path, pixels), onnx_runtime(tmp_path, pixels)):
        np.testing.assert_allclose(found, wanted, rtol=0.0, atol=2e-5)
    for name in ("network.tflite", "network.onnx"):
        assert not [kind for kind in count_operators(tmp_path / name) if "CUSTOM" in kind]


def litert(folder: Path, pixels: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(folder / "network.tflite"))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def onnx_runtime(folder: Path, pixels: Any) -> Any:
    from onnxruntime import InferenceSession

    session = InferenceSession(folder / "network.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: pixels})[0]
