"""``verify`` at the door: lines for what was checked, the first difference and its exit code."""

import argparse
from pathlib import Path

import pytest

from deploy.bundle import write_bundle
from tests.tiny_models import shared_variants
from threadlite import verify
from threadlite.evidence import evidence_of
from train.errors import ArtifactError


def words(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    verify.add_parser(parser.add_subparsers())
    return parser.parse_args(["verify", *given])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    variants = shared_variants(tmp_path_factory.getbasetemp() / "tiny-variants")
    folder = tmp_path_factory.mktemp("verify") / "bundle"
    write_bundle([variants["int8.tflite"]], folder, evidence=evidence_of(variants.values(), []))
    return folder


def test_a_sound_bundle_ends_with_its_clients(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify.run(words(str(bundle), "--client", "litert", "--threads", "2")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6  # files, a model, snippets, pictures, a client, and the last word
    assert lines[-1].startswith(f"{bundle} is sound under litert ")


def test_the_first_difference_is_an_error_of_the_users(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such bundle") as raised:
        verify.run(words(str(tmp_path / "ghost")))
    assert raised.value.exit_code == 1
