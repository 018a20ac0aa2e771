"""``threadlite cost``: what it prints for approaches, artifacts and files."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_models import shared_variants
from threadlite import cost
from train.artifact import Artifact
from train.errors import ArtifactError, ConfigError, UsageError

# The tiny network: three convolutions, a depthwise one and the head.
TINY_MACCS = 16 * 16 * 8 * 27 + 16 * 16 * 8 * 72 + 8 * 8 * 8 * 72 + 8 * 8 * 8 * 9 + 8 * 3
# 1 + 2 + 2 x 2 + 2 x 2 + 2 x 4
TINY_FIELD = 19


@pytest.fixture(scope="session")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return shared_variants(tmp_path_factory.getbasetemp() / "tiny-variants")


def _run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    cost.add_parser(parser.add_subparsers())
    return cost.run(parser.parse_args(["cost", *map(str, words)]))


@pytest.mark.parametrize(
    "key", ["float.keras", "float.tflite", "float.onnx", "int8.tflite", "int8.onnx"]
)
def test_artifacts_and_files_in_every_format(
    variants: dict[str, Artifact], capsys: pytest.CaptureFixture[str], key: str
) -> None:
    found: list[Any] = []
    for place in (variants[key].folder, variants[key].payload):
        assert _run(place, "--json") == 0
        found.append(json.loads(capsys.readouterr().out))
    by_folder, by_file = found
    assert by_folder.pop("model") == variants[key].manifest.variant
    assert by_file.pop("model") == variants[key].payload.name
    assert by_folder == by_file
    assert by_file["maccs"] == TINY_MACCS and by_file["flops"] == 2 * TINY_MACCS
    assert (by_file["receptive_field"], by_file["uncounted"]) == (TINY_FIELD, {})
    assert sum(layer["parameters"] for layer in by_file["layers"]) == by_file["parameters"]
    assert sum(layer["flops"] for layer in by_file["layers"]) == by_file["flops"]
    pooled = next(layer for layer in by_file["layers"] if layer["name"].endswith("es/Mean")
                  or layer["name"] == "features")  # fmt: skip
    assert pooled["receptive_field"] == {"size": [32, 32], "jump": [0, 0], "start": [16, 16]}


def test_totals_for_people(
    variants: dict[str, Artifact], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(variants["float.tflite"].folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "tiny.float.tflite",
        f"MACCs            {TINY_MACCS / 1e6:,.1f} million",
        f"FLOPs            {TINY_MACCS / 5e5:,.1f} million: 2 for each MACC, nothing beside",
    ]
    assert lines[-2:] == [f"receptive field  {TINY_FIELD} pixels", "uncounted        none"]


def test_layers_for_people(
    variants: dict[str, Artifact], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(variants["float.keras"].folder, "--layers") == 0
    lines = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert lines[0].split() == [
        "layer", "kind", "output", "MACCs", "share", "parameters", "bytes", "field", "jump",
        "start",
    ]  # fmt: skip
    conv = next(line for line in lines if line.startswith("conv0 "))
    share = 100 * 16 * 16 * 8 * 27 / TINY_MACCS
    # Under stride 2, the padding of an even map lies after it: the first kernel's middle is 1.5.
    assert " ".join(conv.split()) == (
        f"conv0 Conv2D 16 x 16 x 8 55,296 {share:.1f} % 216 8,192 3 2 1.5"
    )


def test_an_approach_is_built_at_the_size_and_classes_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _run("custom-cnn", "--image-size", 64, "--classes", 5, "--json") == 0
    small = json.loads(capsys.readouterr().out)
    assert small["model"] == "custom-cnn, 64 x 64 pixels, 5 classes"
    assert small["layers"][0]["output_shape"] == [1, 64, 64, 3]
    assert small["layers"][-1]["output_shape"] == [1, 5]
    assert small["receptive_field"] == 255


@pytest.mark.parametrize(
    ("which", "count"), [("all", cost.CLOTHING_CLASSES), ("top10", 10), ("Hat,Shoes", 2)]
)
def test_classes_of_an_approach(which: str, count: int) -> None:
    assert cost._classes_of(which) == count


@pytest.mark.parametrize(
    ("words", "error", "complaint"),
    [
        (("nothing-here",), UsageError, "no file or folder, and no approach; choose from custom"),
        (("custom-cnn", "--image-size", 8), ConfigError, "at least 32 pixels, got 8"),
        (("{folder}",), ArtifactError, "neither an artifact nor a bundle"),
        (("{folder}/odd.bin",), ArtifactError, r"costs are counted of \.keras"),
        (("{folder}/odd.onnx", "--classes", 3), UsageError, "a finished model has its own"),
        (("{folder}/odd.onnx",), ArtifactError, "make the artifact again"),
        (("{folder}/odd.tflite",), ArtifactError, "make the artifact again"),
        (("{folder}/odd.keras",), ArtifactError, "make the artifact again"),
    ],
)
def test_what_cannot_be_counted_is_said(
    tmp_path: Path, words: tuple[object, ...], error: type[Exception], complaint: str
) -> None:
    for suffix in ("bin", "onnx", "tflite", "keras"):
        (tmp_path / f"odd.{suffix}").write_bytes(b"odd")
    with pytest.raises(error, match=complaint):
        _run(*(str(word).format(folder=tmp_path) for word in words))


def test_sizes_must_be_whole_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _run("custom-cnn", "--image-size", "big")
    assert "must be a whole number from 1" in capsys.readouterr().err


def test_a_name_cannot_command_the_terminal() -> None:
    assert cost._printable("a\x1b[2Jb") == "a\N{REPLACEMENT CHARACTER}[2Jb"
