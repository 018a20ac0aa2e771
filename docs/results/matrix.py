"""Time the whole matrix twice or more often, and land whether the runs agree.

``python docs/results/matrix.py --out runs/matrix [--data SOURCE] [NETWORK ...]`` makes six variants
of each network for both runtimes, times all of them and their layers by ``threadlite bench
--layers --no-f1``, does so a second time (or up to ``--runs`` times), and writes
``docs/results/matrix/`` out of the records.
``NETWORK`` is a trained artifact; without any, five networks with random weights stand in, since a
call takes as long with them. What has been made is not made again; give ``--land`` to write the
page anew from the records that are there. On a virtual machine give ``--threads 1``: its host moves
the cores near to one another or apart, and two threads wait for one another in every operator.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from bench.agreement import MAX_CHANGE, agreements
from bench.record import FailureRecord, LatencyRecord, LayerTimesRecord, Record, of_kind
from bench.record import read_records as read
from bench.record_layers import MAX_UNEXPLAINED
from bench.steadiness import MAX_HALF_WIDTH, half_width

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "docs" / "results" / "matrix"
APPROACHES = ("custom-cnn", "efficientnet-lite0", "mobilenet-v2", "resnet50-17", "convnext-tiny")
# Beside float and rewritten. Where a runtime has no fast kernels for int8-dynamic convolutions, a
# rewritten network in int8 takes their place.
TECHNIQUES = {
    "tflite": ("int8", "float16", "int8-dynamic", "mixed"),
    "onnx": ("int8", "float16", "rewritten.int8", "mixed"),
}
RUNS = ("first.jsonl", "second.jsonl", "third.jsonl", "fourth.jsonl")
SECONDS = "seconds.json"


def main(words: Sequence[str] | None = None) -> None:
    """Make, measure twice, and land."""
    arguments = parse(words)
    out: Path = arguments.out
    if not arguments.land:
        folders = list(make(arguments.networks, arguments.data, out))
        for name in RUNS[: arguments.runs]:
            if not (out / name).exists():
                measure(folders, out / name, arguments)
    RESULTS.mkdir(parents=True, exist_ok=True)
    landed = (*RUNS[:2], *runs_in(out)[2:])
    for name in (*landed, SECONDS):
        shutil.copy(out / name, RESULTS)
    for name in {*RUNS} - {*landed}:
        (RESULTS / name).unlink(missing_ok=True)
    (RESULTS / "matrix.md").write_text(page(RESULTS), encoding="utf-8")
    sys.stdout.write(f"{RESULTS.relative_to(REPOSITORY)} is up to date\n")


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Return the words of the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", type=Path, nargs="*", metavar="NETWORK")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--data", default="garments", metavar="SOURCE")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=2, choices=range(2, len(RUNS) + 1))
    parser.add_argument("--land", action="store_true", help="measure nothing")
    return parser.parse_args(words)


def make(networks: Sequence[Path], source: str, out: Path) -> Iterator[Path]:
    """Yield the folders of all networks and variants; what a technique refuses is said."""
    from train.artifact import open_artifact
    from train.errors import ThreadliteError

    dataset, folder = _photos(source), out / "artifacts"
    given = list(networks) or [_untrained(name, dataset, folder) for name in APPROACHES]
    for parent in map(open_artifact, given):
        yield parent.folder
        for name, build in _variants(parent, dataset, folder):
            path = folder / f"{parent.manifest.name.network}.{name}"
            try:
                if not path.exists():
                    build(path)
                yield path
            except ThreadliteError as error:
                sys.stderr.write(f"{path.name}: not made: {error}\n")


def _variants(
    parent: Any, dataset: Any, folder: Path
) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Yield what is made of a network, the rewritten network before its files, and how."""
    from optimize.convert import export_float

    yield "rewritten", partial(_rewrite, parent, dataset)
    rewritten = folder / f"{parent.manifest.name.network}.rewritten"
    for target, techniques in TECHNIQUES.items():
        yield f"float.{target}", partial(export_float, parent, target)
        yield f"rewritten.{target}", partial(_export, rewritten, target)
        for name in techniques:
            after, _, technique = name.rpartition(".")
            source = rewritten if after else parent.folder
            yield f"{name}.{target}", partial(_optimize, source, technique, target, dataset)


def _rewrite(parent: Any, dataset: Any, path: Path) -> None:
    from optimize.finetune import Workshop
    from optimize.techniques import find_technique
    from train.progress import Silent

    technique = find_technique("rewrite")
    checkpoints = path.with_suffix(".checkpoints")
    shop = Workshop(dataset=dataset, checkpoints=checkpoints, progress=Silent())
    technique.apply(parent, path, technique.config(), shop)


def _export(network: Path, target: Any, path: Path) -> None:
    from optimize.convert import export_float
    from train.artifact import open_artifact

    export_float(open_artifact(network), target, path)


def _optimize(network: Path, technique: str, target: Any, dataset: Any, path: Path) -> None:
    from optimize.techniques import find_technique
    from threadlite.variants import optimize_artifact
    from train.artifact import open_artifact
    from train.progress import Silent

    optimize_artifact(
        open_artifact(network),
        technique,
        target,
        dataset,
        find_technique(technique).config(),
        path,
        state=path.with_suffix(".search"),
        progress=Silent(),
    )


def _photos(source: str) -> Any:
    from train.dataset import DROPPED_LABELS, SourceOptions
    from train.sources import open_dataset

    options = SourceOptions(dropped_labels=DROPPED_LABELS, empty_classes=False, seed=0)
    return open_dataset(source, options)


def _untrained(approach: str, dataset: Any, folder: Path) -> Path:
    """Return the folder of a network of random weights, at the size of its approach."""
    from train.approaches import APPROACHES as TABLE
    from train.artifact import DatasetReference, Step, WeightsOrigin, write_artifact
    from train.backend import keras
    from train.keras_file import save_keras
    from train.networks import NETWORKS
    from train.pixels import PixelContract
    from train.splits import split_photos
    from train.variant import Variant

    name = f"{approach}-untrained"
    path, size = folder / name, TABLE[approach].recipe.image_size
    if path.exists():
        return path
    keras().utils.set_random_seed(0)
    model = NETWORKS[TABLE[approach].network](image_size=size, classes=len(dataset.labels))
    count = model.count_params()
    write_artifact(
        path,
        fill=lambda file: save_keras(model, file),
        split=split_photos(dataset.photos, method="grouped", seed=0),
        variant=Variant(network=name),
        details={
            "approach": name,
            "steps": (Step(technique="untrained", config={"seed": 0}),),
            "labels": dataset.labels,
            "pixels": PixelContract(height=size, width=size),
            "dataset": DatasetReference(
                name=dataset.name, fingerprint=dataset.fingerprint, photos=len(dataset.photos)
            ),
            "seed": 0,
            "weights": WeightsOrigin(source="random", loaded_parameters=0, total_parameters=count),
        },
    )
    return path


def measure(folders: Sequence[Path], records: Path, arguments: argparse.Namespace) -> None:
    """Run ``threadlite bench`` as a person would, and note how long it took."""
    words = [
        *(sys.executable, "-m", "threadlite", "bench", *map(str, folders), "--layers", "--no-f1"),
        *("--data", arguments.data, "--threads", str(arguments.threads)),
        *("--rounds", str(arguments.rounds), "--out", str(records)),
    ]
    start = time.monotonic()
    subprocess.run(words, check=True, cwd=REPOSITORY)
    seconds = records.with_name(SECONDS)
    known = json.loads(seconds.read_text(encoding="utf-8")) if seconds.exists() else {}
    known[records.name] = round(time.monotonic() - start)
    seconds.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def runs_in(folder: Path) -> list[str]:
    """Return the names of the runs' records that are there, in order."""
    return [name for name in RUNS if (folder / name).exists()]


def page(folder: Path) -> str:
    """Return the page of the runs, from their records alone."""
    runs = {name: read(folder / name)[0] for name in runs_in(folder)}
    seconds = json.loads((folder / SECONDS).read_text(encoding="utf-8"))
    lines = [
        "# The whole matrix, timed again and again",
        "",
        "`python docs/results/matrix.py` makes the variants, times them and their layers by"
        " `threadlite bench --layers --no-f1`, run after run, and writes this page out of the"
        f" records beside it. {_threads(next(iter(runs.values())))} Times are those of the machine"
        " that the records name, not a phone's.",
        "",
        *_runs(runs, seconds),
        "",
        "## Ratios of medians, from one run to another",
        "",
        f"The goal: no ratio of two variants moves by more than {MAX_CHANGE:.0%}.",
        "",
        "| runs | runtime | variants | pairs | within the goal | moved most | which |",
        "|---|---|---:|---:|---:|---:|---|",
        *(
            f"| {_word(before)}, {_word(after)} | {one.runtime} | {one.variants} | {one.pairs:,}"
            f" | {one.within:,} | {one.change:.1%} | `{one.slower}` against `{one.faster}` |"
            for before, after in combinations(runs, 2)
            for one in agreements(runs[before], runs[after])
        ),
        "",
        "## Time in the layers over the time of a call",
        "",
        f"The goal: within {MAX_UNEXPLAINED:.0%}. The quickest tenth of calls of either kind is"
        " compared.",
        "",
        f"| variant | runtime | {' | '.join(map(_word, runs))} |",
        f"|---|---|{'---:|' * len(runs)}",
        *_sums(list(runs.values())),
        "",
    ]
    return "\n".join(lines)


def _word(name: str) -> str:
    return Path(name).stem


def _threads(records: Sequence[Record]) -> str:
    threads = {one.threads for one in of_kind(records, LatencyRecord)}
    told = " or ".join(map(str, sorted(threads)))
    return f"Runtimes were given {told} thread{'' if threads == {1} else 's'}."


def _runs(runs: Mapping[str, Sequence[Record]], seconds: dict[str, int]) -> Iterator[str]:
    yield (
        "| run | minutes (goal: 15) | timed | failed | median within 3 % | wider, warned of"
        " | copies of 4 MiB, 10⁹ bytes/s |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, records in runs.items():
        timed = of_kind(records, LatencyRecord)
        wide = [one for one in timed if half_width(one.turns) > MAX_HALF_WIDTH]
        warned = sum(any("only known to within" in text for text in one.warnings) for one in wide)
        yield (
            f"| {_word(name)} | {seconds[name] / 60:.1f} | {len(timed)}"
            f" | {len(of_kind(records, FailureRecord))} | {len(timed) - len(wide)}"
            f" | {warned} of {len(wide)} | {_copies(timed)} |"
        )


def _copies(timed: Sequence[LatencyRecord]) -> str:
    """Return how fast the shared caches were: the same for all variants of a run."""
    known = {one.copy_gbs for one in timed if one.copy_gbs is not None}
    return " to ".join(f"{speed:.1f}" for speed in sorted(known)) or "n/a"


def _sums(runs: Sequence[Sequence[Record]]) -> Iterator[str]:
    """Yield the rows of the sums of layers, a column a run."""
    found = [
        {(one.variant, one.runtime): one.explained_share for one in of_kind(run, LayerTimesRecord)}
        for run in runs
    ]
    for key in dict.fromkeys(key for shares in found for key in shares):
        told = [f"{shares[key]:.1%}" if key in shares else "n/a" for shares in found]
        yield f"| `{key[0]}` | {key[1]} | {' | '.join(told)} |"


if __name__ == "__main__":
    main()
