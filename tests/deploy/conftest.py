"""The tiny network and its four variants, made once for the tests of what runs models."""

import pytest

from tests.tiny_models import shared_variants
from train.artifact import Artifact


@pytest.fixture(scope="session")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return shared_variants(tmp_path_factory.getbasetemp() / "tiny-variants")


@pytest.fixture(scope="session")
def parent(variants: dict[str, Artifact]) -> Artifact:
    return variants["float.keras"]
