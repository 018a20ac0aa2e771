"""``deploy`` at the door: the page into a bundle, a record of pixels into its README."""

from pathlib import Path

import pytest

from deploy.browser import INDEX, RUNTIME_FILES
from deploy.bundle import read_bundle, write_bundle
from deploy.pixel_parity import PixelParity, WayParity
from tests.tiny_models import shared_variants
from threadlite.cli import main
from train.artifact import Artifact
from train.errors import UsageError


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return shared_variants(tmp_path_factory.getbasetemp() / "tiny-variants")["float.tflite"]


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
    assert "more than 10 MB" not in readme and "Other pixels" not in readme
