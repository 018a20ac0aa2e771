"""What ``threadlite classify`` answers, against the runtime asked directly."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deploy.bundle import write_bundle
from deploy.runtime import open_runtime
from tests.tiny_models import LABELS, pictures, shared_variants
from threadlite import model_files
from threadlite.classify import Answer
from threadlite.cli import main
from train.artifact import Artifact

COUNT = 4


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return shared_variants(tmp_path_factory.getbasetemp() / "tiny-variants")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures of the network's own size, so that resizing changes nothing."""
    folder = tmp_path_factory.mktemp("photos")
    for number, pixels in enumerate(pictures(COUNT)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("none of the pictures")
    (folder / ".hidden.png").write_bytes(b"x")
    return folder


def classify(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, list[str], str]:
    code = main(["classify", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err


def expected(artifact: Artifact, runtime: str) -> list[list[tuple[str, float]]]:
    """Return each picture's classes and probabilities, the most probable first."""
    with open_runtime(artifact.payload, runtime) as loaded:
        found = loaded.predict(pictures(COUNT))
    pairs = [zip(LABELS, row.tolist(), strict=True) for row in found]
    return [sorted(row, key=lambda pair: -pair[1]) for row in pairs]


def answers(lines: list[str]) -> list[list[tuple[str, float]]]:
    found = [json.loads(line)["classes"] for line in lines]
    return [[(item["label"], item["probability"]) for item in row] for row in found]


@pytest.mark.parametrize(
    ("key", "runtime"),
    [("float.tflite", "litert"), ("int8.tflite", "litert"), ("int8.onnx", "onnxruntime")],
)
@pytest.mark.parametrize("kind", ["artifact", "file"])
def test_answers_are_those_of_the_runtime(
    key: str,
    runtime: str,
    kind: str,
    variants: dict[str, Artifact],
    photos: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variant = variants[key]
    model = variant.folder if kind == "artifact" else variant.payload
    code, lines, _ = classify(capsys, photos, "--model", model, "--json")
    assert code == 0
    for found, wanted in zip(answers(lines), expected(variant, runtime), strict=True):
        assert [label for label, _ in found] == [label for label, _ in wanted]
        # Probabilities are rounded to four digits: half a unit of the last one.
        assert [p for _, p in found] == pytest.approx([p for _, p in wanted], abs=0.51e-4)


def test_a_keras_network_answers_too(
    variants: dict[str, Artifact], photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines, _ = classify(
        capsys, photos / "0.png", "--model", variants["float.keras"].folder, "--json"
    )
    assert code == 0
    (found,) = answers(lines)
    # Float against float: parity holds them to 1e-3, and a half digit is rounded away.
    assert dict(found) == pytest.approx(
        dict(expected(variants["float.tflite"], "litert")[0]), abs=1.1e-3
    )


def test_a_bundle_runs_on_either_runtime(
    variants: dict[str, Artifact],
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_bundle([variants["int8.onnx"], variants["int8.tflite"]], tmp_path / "bundle")
    for words, name in (
        ((), "tiny.int8.tflite"),
        (("--runtime", "litert"), "tiny.int8.tflite"),
        (("--runtime", "onnxruntime"), "tiny.int8.onnx"),
    ):
        code, lines, _ = classify(
            capsys, photos / "1.png", "--model", tmp_path / "bundle", "--json", *words
        )
        assert (code, json.loads(lines[0])["model"]) == (0, name)


def test_photos_are_turned_upright(
    variants: dict[str, Artifact], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upright = Image.fromarray(pictures(1)[0])
    upright.save(tmp_path / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned a quarter clockwise for viewing
    turned = upright.transpose(Image.Transpose.ROTATE_90)  # counter-clockwise
    turned.save(tmp_path / "turned.png", exif=exif)
    turned.save(tmp_path / "untold.png")
    pair = [tmp_path / "upright.png", tmp_path / "turned.png", tmp_path / "untold.png"]
    _, lines, _ = classify(capsys, *pair, "--model", variants["float.tflite"].folder, "--json")
    first, second, third = answers(lines)
    assert first == second != third


def test_bad_photos_are_named_and_the_others_answered(
    variants: dict[str, Artifact],
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "text.jpg").write_text("none of a picture")
    whole = (photos / "0.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty").mkdir()
    Image.new("1", (12_000, 12_000)).save(tmp_path / "bomb.png")
    bad = [
        tmp_path / name
        for name in ("ghost.jpg", "text.jpg", "cut.png", "empty", "bomb.png", "a\x1bb")
    ]
    model = ("--model", variants["int8.tflite"].folder)
    code, lines, said = classify(capsys, *bad, photos / "0.png", *model)
    assert code == 1
    assert [line.partition(":")[0] for line in lines] == [str(photos / "0.png")]
    told = said.splitlines()
    assert len(told) == len(bad)
    for line, path in zip(told, bad, strict=True):
        assert line.startswith(f"threadlite: {str(path).replace(chr(27), chr(0xFFFD))}: ")
    assert "no such file" in told[0]
    assert "\x1b" not in said
    code, lines, _ = classify(capsys, bad[0], photos / "0.png", "--json", *model)
    assert code == 1
    assert [set(json.loads(line)) for line in lines] == [
        {"photo", "model", "problem"},
        {"photo", "model", "classes"},
    ]


def test_top_is_how_many_classes(
    variants: dict[str, Artifact], photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for top, count in ((1, 1), (2, 2), (99, len(LABELS))):
        words = ("--model", variants["int8.tflite"].folder, "--json", "--top", top)
        _, lines, _ = classify(capsys, photos / "0.png", *words)
        assert [len(row) for row in answers(lines)] == [count]
    for wrong in ("0", "-1", "x"):
        with pytest.raises(SystemExit) as caught:
            classify(capsys, photos, f"--top={wrong}")
        assert caught.value.code == 2


def test_labels_of_ones_own(
    variants: dict[str, Artifact],
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = tmp_path / "labels.txt"
    own.write_bytes("\ufeffHut\r\nHemd\r\nSchuhe\r\n".encode())
    words = ("--model", variants["float.tflite"].payload, "--json", "--labels", own)
    _, lines, _ = classify(capsys, photos / "0.png", *words)
    translated = dict(zip(LABELS, ("Hut", "Hemd", "Schuhe"), strict=True))
    wanted = expected(variants["float.tflite"], "litert")[0]
    assert [label for label, _ in answers(lines)[0]] == [translated[label] for label, _ in wanted]
    own.write_text("one\ntwo\n")
    code, _, said = classify(capsys, photos / "0.png", *words)
    assert code == 2
    assert "gives 3 probabilities, and there are 2 labels" in said


def test_a_file_that_tells_no_labels_needs_some(
    variants: dict[str, Artifact],
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import onnx

    proto = onnx.load(variants["float.onnx"].payload)
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "bare.onnx")
    words = (photos / "0.png", "--model", tmp_path / "bare.onnx")
    code, _, said = classify(capsys, *words)
    assert code == 2
    assert "does not tell its labels; name a file of them by --labels" in said
    (tmp_path / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    code, lines, _ = classify(capsys, *words, "--labels", tmp_path / "labels.txt")
    best, share = expected(variants["float.onnx"], "onnxruntime")[0][0]
    assert code == 0
    assert f"0.png: {best} {100 * share:.1f} %, " in lines[0]


def test_outputs_that_are_no_probabilities_are_refused(
    variants: dict[str, Artifact],
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deploy.litert import LitertModel

    monkeypatch.setattr(
        LitertModel, "predict", lambda self, pixels: np.array([[3.0, np.nan, -1.0]], np.float32)
    )
    code, _, said = classify(capsys, photos, "--model", variants["float.tflite"].folder)
    assert code == 1
    assert "are no probabilities" in said


def test_lines_for_people() -> None:
    answer = Answer(photo="a\x1b.jpg", model="m", classes=(("Hat", 0.9344), ("T-Shirt", 0.0461)))
    assert answer.as_line() == "a\N{REPLACEMENT CHARACTER}.jpg: Hat 93.4 %, T-Shirt 4.6 %"


def test_classifying_loads_no_tensorflow(variants: dict[str, Artifact], photos: Path) -> None:
    program = (
        "import sys\n"
        "from threadlite.cli import main\n"
        f"code = main(['classify', {str(photos / '0.png')!r}, '--model', sys.argv[1]])\n"
        "assert code == 0\n"
        "assert not {'tensorflow', 'tf_keras', 'sklearn', 'scipy'} & set(sys.modules)\n"
    )
    for key in ("int8.tflite", "int8.onnx"):
        done = subprocess.run(
            [sys.executable, "-c", program, str(variants[key].folder)],
            capture_output=True, text=True, check=False, env=dict(os.environ),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""


def test_the_ready_made_model_is_used_unless_told(
    variants: dict[str, Artifact],
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_files, "READY_MADE", variants["int8.tflite"].folder)
    code, lines, _ = classify(capsys, photos)
    assert (code, len(lines)) == (0, COUNT)
    monkeypatch.setattr(model_files, "READY_MADE", tmp_path / "ghost")
    code, _, said = classify(capsys, photos)
    assert code == 1
    assert "the ready-made model is not at" in said
    assert "--model" in said
