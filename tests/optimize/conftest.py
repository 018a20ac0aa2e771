"""The tiny network and its four variants, made once for the tests of what makes models."""

import pytest

from tests.tiny_models import write_parent, write_variants
from train.artifact import Artifact


@pytest.fixture(scope="session")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return write_parent(tmp_path_factory.mktemp("tiny") / "parent")


@pytest.fixture(scope="session")
def variants(parent: Artifact, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return write_variants(parent, tmp_path_factory.mktemp("variants"))
