"""Every technique that changes a network with every one that writes a file, and in pairs."""

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.parity import check_parity
from deploy.runtime import open_runtime, runtime_for
from optimize.quantize import choose_calibration
from optimize.techniques import TECHNIQUES, make_config, parse_chain
from tests.optimize.colours import workshop, write_dataset, write_small
from train.artifact import Artifact
from train.dataset import Dataset
from train.errors import ConversionError, UsageError
from train.keras_file import load_keras
from train.pixels import load_pixels
from train.predict import predict
from train.splits import select
from train.variant import Format

NETWORKS = [name for name, technique in TECHNIQUES.items() if technique.word]
FILES = [name for name, technique in TECHNIQUES.items() if not technique.word]
# Nothing is trained where that can be left out: what fine-tuning restores has tests of its own.
SETTINGS: dict[str, dict[str, Any]] = {
    "tune": {"epochs": 1},
    "shrink": {"epochs": 0, "maccs": 0.8, "multiple": 2},
    "resolution": {"epochs": 0, "size": 48},
    "prune": {"epochs": 0, "ramp_epochs": 0, "final_sparsity": 0.2},
    "cluster": {"epochs": 0},
    "quantize-aware": {"epochs": 1},
    "int8": {"photos": 16},
    "int16x8": {"photos": 16},
    "selective": {"photos": 16, "ranking_photos": 1, "evaluations": 3},
    "swept": {"photos": 16, "sizes": "8", "percentiles": "99.9"},
}
REFUSED = {
    ("int16x8", "onnx"): "ONNX Runtime has no kernels for 16-bit activations",
    ("int8-dynamic", "onnx"): "of its weights lie in products of matrices",
}


class Bench:
    """A small network, and what was made of it so far."""

    def __init__(self, folder: Path) -> None:
        self.dataset: Dataset = write_dataset(folder / "photos")
        self.folder = folder
        self._made: dict[tuple[str, ...], Artifact] = {
            (): write_small(folder / "parent", self.dataset)
        }

    def network(self, *names: str) -> Artifact:
        """Return the network after these techniques."""
        if names not in self._made:
            parent, name = self.network(*names[:-1]), names[-1]
            folder = self.folder / "-".join(names)
            checkpoints = folder.with_name(f"{folder.name}-checkpoints")
            self._made[names] = TECHNIQUES[name].apply(
                parent,
                folder,
                make_config(name, SETTINGS.get(name, {})),
                workshop(self.dataset, checkpoints),
            )
        return self._made[names]

    def file(self, network: Artifact, name: str, target: Format, folder: Path) -> Artifact:
        """Return a file of ``network``; what is judged is judged by agreement with it."""
        config = make_config(name, SETTINGS.get(name, {}))
        ids = choose_calibration(network.split().train, config)
        pixels = load_pixels(select(self.dataset.photos, ids), network.manifest.pixels)
        shown, expected = self.answers(network)

        def score(model: Path) -> float:
            with open_runtime(model, runtime_for(target), threads=1) as opened:
                return float(1.0 - np.abs(opened.predict(shown) - expected).mean())

        judged = {"score": score} if TECHNIQUES[name].judged else {}
        made: Artifact = TECHNIQUES[name].apply(
            network, target, pixels, ids, folder, config, **judged
        )
        return made

    def answers(self, network: Artifact) -> tuple[Any, Any]:
        """Return training photos and what the network answers to them."""
        photos = select(self.dataset.photos, network.split().train)
        pixels = load_pixels(photos, network.manifest.pixels)
        return pixels, predict(load_keras(network.payload), pixels)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("pairs"))


def sensible(first: str, second: str) -> bool:
    try:
        parse_chain(f"{first}+{second}")
    except UsageError:
        return False
    return True


def test_the_sensible_orders_are_known() -> None:
    """Of each pair one order works or both do, but for zeros and shared weights in fake 8 bits."""
    orders = {
        frozenset(pair): sum(sensible(*order) for order in permutations(pair))
        for pair in permutations(NETWORKS, 2)
    }
    none = {tuple(sorted(pair)) for pair, count in orders.items() if count == 0}
    assert none == {("cluster", "quantize-aware"), ("prune", "quantize-aware")}
    both = {tuple(sorted(pair)) for pair, count in orders.items() if count == 2}
    assert both == {("resolution", "shrink"), ("resolution", "tune"), ("shrink", "tune")}


@pytest.mark.slow
def test_a_clustered_network_has_its_normalizations_folded_already(bench: Bench) -> None:
    with pytest.raises(ConversionError, match="matches anything in it; it needs no rewriting"):
        bench.network("cluster", "rewrite")


PAIRS = [pair for pair in permutations(NETWORKS, 2) if sensible(*pair)]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["tflite", "onnx"])
@pytest.mark.parametrize(
    ("first", "second"), [pair for pair in PAIRS if pair != ("cluster", "rewrite")]
)
def test_every_pair_of_networks_is_written_in_int8(
    bench: Bench, tmp_path: Path, first: str, second: str, target: Format
) -> None:
    network = bench.network(first, second)
    made = bench.file(network, "int8", target, tmp_path / "made")
    steps = [step.technique for step in made.manifest.steps]
    assert steps == ["train", first, second, "int8"]
    require_near(bench, network, made)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["tflite", "onnx"])
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_written_in_every_precision(
    bench: Bench, tmp_path: Path, name: str, file: str, target: Format
) -> None:
    network, folder = bench.network(name), tmp_path / "made"
    if (file, target) in REFUSED:
        with pytest.raises(ConversionError, match=REFUSED[file, target]):
            bench.file(network, file, target, folder)
        assert not folder.exists()
        return
    made = bench.file(network, file, target, folder)
    assert [step.technique for step in made.manifest.steps] == ["train", name, file]
    require_near(bench, network, made)


def require_near(bench: Bench, network: Artifact, made: Artifact) -> None:
    """Hold a file to its network: 8 steps of the output (1/256), and a part of what it tells."""
    shown, expected = bench.answers(network)
    spread = float(np.ptp(expected, axis=0).max())
    assert check_parity(made, expected, shown).max_difference < 8 / 256 + 0.3 * spread
