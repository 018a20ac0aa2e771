"""What every test gets: a cache of its own, the same seeds, two threads and no accelerator."""

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# Read by TensorFlow and OpenMP when they load, so it stands here and in no fixture.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# Weights that are not there are not looked for: a test that fetches serves its own files.
os.environ.setdefault("THREADLITE_OFFLINE", "1")


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Point ``THREADLITE_CACHE`` at an empty folder, so that the user's cache is never touched."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THREADLITE_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def same_seeds() -> None:
    """Seed Python and NumPy, and TensorFlow once it is loaded, before each test.

    A test that trains still calls ``train.backend.make_repeatable``: only that makes the
    operations themselves repeat.
    """
    random.seed(0)
    np.random.seed(0)
    if "tf_keras" in sys.modules:
        sys.modules["tf_keras"].utils.set_random_seed(0)


@pytest.fixture(scope="session")
def clothing_folder() -> Path:
    """Return the clothing dataset: ``THREADLITE_CLOTHING``, else ``../shared/clothing-dataset``."""
    named = os.environ.get("THREADLITE_CLOTHING")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "clothing-dataset"
    if not (folder / "images.csv").is_file():
        pytest.skip(f"no clothing dataset at {folder}; name one with THREADLITE_CLOTHING")
    return folder


@pytest.fixture(scope="module")
def small_network() -> Iterator[None]:
    """Let the small network stand in for ``custom-cnn``."""
    from tests.train.small_network import build_small
    from train.networks import NETWORKS

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "custom-cnn", build_small)
        yield
