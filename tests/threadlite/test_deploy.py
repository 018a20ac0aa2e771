"""``deploy`` at the door: the page into a bundle, a record of pixels into its README."""

import re
from pathlib import Path

import pytest
from PIL import Image

from bench.record import AccuracyRecord, write_records
from deploy.browser import INDEX, RUNTIME_FILES
from deploy.bundle import read_bundle, write_bundle
from deploy.metadata import read_metadata
from deploy.pixel_parity import PixelParity, WayParity
from tests.tiny_models import LABELS, pictures, shared_variants
from threadlite.cli import main
from train.artifact import Artifact
from train.dataset import Dataset, Dirt, Photo
from train.errors import UsageError
from train.storage import digest_of_file


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return shared_variants(tmp_path_factory.getbasetemp() / "tiny-variants")


@pytest.fixture(scope="module")
def variant(variants: dict[str, Artifact]) -> Artifact:
    return variants["float.tflite"]


@pytest.fixture(scope="module")
def bundle(variant: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle([variant], tmp_path_factory.mktemp("deploy") / "bundle").folder


@pytest.fixture
def runtimes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in RUNTIME_FILES:
        path = tmp_path / "runtimes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    monkeypatch.setattr("threadlite.deploying.web_runtimes", lambda say: tmp_path / "runtimes")


def record_of(network: str) -> PixelParity:
    way = WayParity(
        way="nearest",
        changed=1.0,
        agreement=0.875,
        accuracy=0.5,
        mean_difference=0.25,
        max_difference=0.75,
    )
    return PixelParity(
        variant="tiny.float.tflite",
        network_sha256=network,
        runtime="litert 2",
        dataset="blotches",
        split_method="grouped",
        photos=8,
        accuracy=0.625,
        ways=(way,),
    )


def test_a_bundle_gets_the_page(
    bundle: Path, runtimes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "site"
    assert main(["deploy", str(bundle), "--web", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out == f"bundle in {out}\n"
    assert f"threadlite serve {out}" in said.err.replace("\n", " ")
    assert INDEX in read_bundle(out).manifest.files
    assert INDEX not in read_bundle(bundle).manifest.files


def test_a_bundle_alone_and_with_web_is_taken(
    bundle: Path, runtimes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "site")]
    for words in ([str(bundle)], [str(bundle), str(bundle), "--web"]):
        assert main(["deploy", *words, *out]) == UsageError.exit_code
        assert "is a bundle already; with --web, and alone" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_without_npm_nothing_is_begun(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["deploy", str(bundle), "--web", "--out", str(tmp_path / "site")]) == 1
    assert "there is no npm on the PATH" in capsys.readouterr().err


def test_a_record_of_pixels_goes_into_the_readme(variant: Artifact, tmp_path: Path) -> None:
    record = record_of(str(variant.manifest.steps[1].parent_sha256))
    bundle = write_bundle([variant], tmp_path / "bundle", pixel_parity=record)
    readme = (bundle.folder / "README.md").read_text()
    assert "On 8 test photos\n(blotches, grouped split), tiny.float.tflite" in readme
    assert "62.5 % with the pixels asked for above" in readme
    assert "| nearest | 100.0 | 87.5 | 50.0 | 0.250 |" in readme
    with pytest.raises(UsageError, match="from another training"):
        write_bundle([variant], tmp_path / "other", pixel_parity=record_of("0" * 64))


def test_the_readme_tells_what_each_model_adds(bundle: Path) -> None:
    readme = (bundle / "README.md").read_text()
    size = (bundle / "model.tflite").stat().st_size / 1e6
    assert f"| `model.tflite` | {size:.2f} | " in readme
    for part in ("`labels.txt`", "`golden/`, not for the app", "`snippets/`, not for the app"):
        assert f"| {part} | 0." in readme
    assert "more than 10 MB" not in readme
    assert "answers was not measured here: `threadlite pixels`" in readme


def test_a_large_model_is_warned_of(
    variant: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = variant.payload.stat().st_size
    monkeypatch.setattr("deploy.bundle_readme.LARGE_BYTES", size // 2)
    readme = (write_bundle([variant], tmp_path / "large").folder / "README.md").read_text()
    assert re.search(r"`model\.tflite` adds more than \S+ MB to a download; in int8 it is", readme)


def words_of(variants: dict[str, Artifact], out: Path, *more: str) -> list[str]:
    parent, variant = (str(variants[key].folder) for key in ("float.keras", "float.tflite"))
    return ["deploy", variant, "--parent", parent, "--out", str(out), *more]


@pytest.fixture
def photos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the one validation photo of the tiny network be there."""
    path = tmp_path / "v.png"
    Image.fromarray(pictures(1)[0]).save(path)
    photo = Photo(photo_id="v", path=path, label="Hat", sender="v", sha256=digest_of_file(path))
    dataset = Dataset(
        name="blotches", photos=(photo,), labels=LABELS, fingerprint="0" * 64, dirt=Dirt()
    )
    monkeypatch.setattr("threadlite.deploying.reopen_dataset", lambda *words: dataset)
    monkeypatch.setenv("THREADLITE_CACHE", str(tmp_path / "cache"))


def test_what_was_measured_and_is_said_goes_into_the_bundle(
    variants: dict[str, Artifact],
    photos: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest = variants["float.tflite"].manifest
    judged = AccuracyRecord(
        variant=manifest.variant,
        variant_sha256=manifest.payload_sha256,
        network_sha256=str(manifest.steps[1].parent_sha256),
        split_method="grouped",
        environment="0" * 16,
        labels=LABELS,
        photo_ids=("a", "b"),
        truths=(0, 1),
        predictions=(0, 2),
        runtime="litert 2",
        side="test",
        senders=("a", "b"),
    )
    records = tmp_path / "records.jsonl"
    write_records(records, [judged])
    monkeypatch.setattr("threadlite.deploying.LARGE_BYTES", 1_000)
    said = ["--records", str(records), "--author", "Ada", "--licence", "CC0-1.0"]
    out = tmp_path / "bundle"
    assert main(words_of(variants, out, *said, "--model-version", "2.1")) == 0
    assert "model.tflite adds 0.0 MB to an app's download, more than 0.001" in (
        capsys.readouterr().err.replace("\n", " ")
    )
    card = read_metadata(out / "model.tflite")
    assert (card.version, card.author) == ("2.1", "Ada") and card.licence.startswith("CC0-1.0; ")
    readme = (out / "README.md").read_text()
    # Of two photos one is right: F1 is 1 for Hat, 0 for Shirt; by photos 0.5.
    assert "weighted F1 0.500 on 2 photos, grouped split" in readme
    assert "| 0 | Hat | 1.000 (1) |" in readme
    write_records(records, [judged.model_copy(update={"variant_sha256": "1" * 64})])
    assert main(words_of(variants, tmp_path / "other", *said)) == 0
    assert "tells no test F1 of tiny.float.tflite" in capsys.readouterr().err.replace("\n", " ")


def test_a_bundle_that_stands_there_is_left_alone(
    variants: dict[str, Artifact], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words_of(variants, tmp_path)) == UsageError.exit_code
    assert f"--out {tmp_path} exists already" in capsys.readouterr().err.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_made_before_is_told_nothing_new(
    bundle: Path, runtimes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["deploy", str(bundle), "--web", "--out", str(tmp_path / "site"), "--author", "Ada"]
    assert main(words) == UsageError.exit_code
    assert "--author: " in capsys.readouterr().err
    assert not (tmp_path / "site").exists()
