"""Bundles of every trained network, in float and int8, each verified on every client.

``python docs/results/publish_clients.py ARTIFACTS... --data SOURCE`` takes every trained network
among ARTIFACTS (folders of artifacts, as a run leaves them), makes its variants unless they stand
there too, bundles them, runs the golden pictures on every client, and lands records and table in
``docs/results/clients/`` and ``docs/deploy.md``. A network that is done is not done again, so that
a killed run goes on; a bundle of another network that has landed keeps its row.

It needs Chromium; npm's runtimes and MediaPipe are brought into the user's cache on first use.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure_clients import ENGINES, VERIFIED, ClientRecord, chromium, in_browser, verified

from bench.environment import describe_environment
from bench.record import EnvironmentRecord
from bench.subject import without_paths
from deploy.browser import web_runtimes
from deploy.bundle import Bundle, read_bundle, write_bundle
from deploy.parity import check_parity, require_parity
from optimize.convert import export_float
from optimize.techniques import make_config
from threadlite.commands import reopen_dataset
from threadlite.console import Display
from threadlite.plan import PARITY_PHOTOS
from threadlite.variants import optimize_artifact, parity_ids
from train.artifact import MANIFEST_NAME, Artifact, open_artifact
from train.dataset import Dataset
from train.errors import ThreadliteError
from train.keras_file import load_keras
from train.pixels import load_pixels
from train.predict import predict
from train.progress import Silent
from train.splits import select
from train.storage import write_text
from train.variant import Format, parse_variant

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "deploy.md"
TARGET = REPOSITORY / "docs" / "results" / "clients"
BEGIN, END = "<!-- results: docs/results/clients -->", "<!-- /results -->"
RECORDS = "clients.jsonl"
PRECISIONS = ("float", "int8")
FORMATS: tuple[Format, ...] = ("tflite", "onnx")
CLIENTS = (*VERIFIED, *ENGINES)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A trained network: with what is known of it, and where its bundles go."""

    network: Artifact
    known: Sequence[Artifact]
    dataset: Dataset
    folder: Path
    threads: int


def main(words: Sequence[str] | None = None) -> None:
    """Do what is not done yet, and land it all."""
    arguments = parsed(words)
    known = found_below(arguments.artifacts)
    networks = [one for one in known if is_trained(one)]
    if arguments.only:
        networks = [one for one in networks if one.manifest.name.network in arguments.only]
    if not networks:
        raise SystemExit("none of the artifacts is a trained network that was asked for")
    machine = describe_environment()
    found: list[ClientRecord] = []
    with Display() as display, chromium() as program:
        runtimes = web_runtimes(display.say)
        for network in networks:
            folder = arguments.work / name_of(network)
            if not (folder / RECORDS).exists():
                display.say(f"{name_of(network)}: bundles and clients")
                dataset = reopen_dataset(network, arguments, display)
                subject = Subject(
                    network=network, known=known, dataset=dataset, folder=folder,
                    threads=arguments.threads,
                )  # fmt: skip
                write_text(folder / RECORDS, measured(subject, machine, program, runtimes))
            found += read_lines(folder / RECORDS)[1]
    land([machine], found)


def parsed(words: Sequence[str] | None) -> argparse.Namespace:
    """Return the words of the command."""
    parser = argparse.ArgumentParser(description="Verify bundles of trained networks everywhere.")
    parser.add_argument("artifacts", type=Path, nargs="+", metavar="ARTIFACTS")
    parser.add_argument("--data", required=True, metavar="SOURCE", help="what they trained on")
    parser.add_argument("--work", type=Path, default=Path("runs/clients"), help="keeps the bundles")
    parser.add_argument("--only", nargs="+", metavar="NETWORK", help="of these networks alone")
    parser.add_argument("--threads", type=int, default=2, help="of the parity with the parent")
    parser.set_defaults(image_column="image", label_column="label", sender_column="sender_id")
    return parser.parse_args(words)


def found_below(folders: Sequence[Path]) -> list[Artifact]:
    """Return every artifact in folders and their folders, once each."""
    found: dict[str, Artifact] = {}
    for path in sorted(path for folder in folders for path in folder.rglob(MANIFEST_NAME)):
        if "payload" in json.loads(path.read_text(encoding="utf-8")):  # else it is a bundle's
            artifact = open_artifact(path.parent)
            found.setdefault(artifact.manifest.payload_sha256, artifact)
    return list(found.values())


def is_trained(artifact: Artifact) -> bool:
    """Return whether it is a network as its training left it."""
    return artifact.manifest.name.format == "keras" and len(artifact.manifest.steps) == 1


def name_of(network: Artifact) -> str:
    """Return the name of a network's folder of work."""
    manifest = network.manifest
    parts = (manifest.name.network, manifest.split.method, manifest.payload_sha256[:12])
    return ".".join(parts)


def measured(subject: Subject, machine: EnvironmentRecord, program: Any, runtimes: Path) -> str:
    """Return the records of a network's bundles, a line each."""
    found: list[ClientRecord] = []
    manifest = subject.network.manifest
    for precision in PRECISIONS:
        base = {
            "variant": f"{manifest.name.network}.{precision}.tflite",
            "network_sha256": manifest.payload_sha256,
            "split_method": manifest.split.method,
            "environment": machine.environment,
        }
        try:
            bundle = bundled(subject, precision)
        except ThreadliteError as error:
            base["failure"] = f"no bundle: {without_paths(str(error))}"
            found += [ClientRecord(**base, client=client) for client in CLIENTS]
            continue
        found += [*verified(bundle, base), *in_browser(program, runtimes, bundle, base)]
    return "".join(record.model_dump_json() + "\n" for record in found)


def bundled(subject: Subject, precision: str) -> Bundle:
    """Return the bundle, written unless it is there, of variants that agree with their parent."""
    place = subject.folder / f"bundle-{precision}"
    if place.exists():
        return read_bundle(place)
    network = subject.network
    variants = [variant_of(subject, precision, target) for target in FORMATS]
    photos = select(subject.dataset.photos, parity_ids(network.split(), PARITY_PHOTOS))
    pixels = load_pixels(photos, network.manifest.pixels)
    answers = predict(load_keras(network.payload), pixels)
    threads = subject.threads
    require_parity([check_parity(one, answers, pixels, threads=threads) for one in variants])
    return write_bundle(variants, place)


def variant_of(subject: Subject, precision: str, target: Format) -> Artifact:
    """Return a variant of a network: the one that stands beside it, or one made here."""
    network, folder = subject.network, subject.folder / f"{precision}-{target}"
    for one in subject.known:
        name, steps = one.manifest.name, one.manifest.steps
        ours = len(steps) == 2 and steps[1].parent_sha256 == network.manifest.payload_sha256
        if ours and (name.precision, name.format) == (precision, target):
            return one
    if folder.exists():
        return open_artifact(folder)
    if precision == "float":
        return export_float(network, target, folder)
    return optimize_artifact(
        network, precision, target, subject.dataset, make_config(precision, {}), folder,
        state=folder.with_suffix(".json"), progress=Silent(),
    )  # fmt: skip


def land(machines: Sequence[EnvironmentRecord], records: Sequence[ClientRecord]) -> None:
    """Write the records, beside those of other bundles, and bring the page up to date."""
    machines, records = beside_landed(machines, records)
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    lines = "".join(f"{one.model_dump_json()}\n" for one in (*machines, *records))
    write_text(TARGET / RECORDS, lines)
    write_text(TARGET / "clients.md", "# Bundles on every client\n\n" + block(machines, records))
    write_text(PAGE, with_results(PAGE.read_text(encoding="utf-8"), machines, records))
    sys.stdout.write(f"{TARGET.relative_to(REPOSITORY)} and docs/deploy.md are up to date\n")


def beside_landed(
    machines: Sequence[EnvironmentRecord], records: Sequence[ClientRecord]
) -> tuple[list[EnvironmentRecord], list[ClientRecord]]:
    """Return these records and those landed of other bundles, in order, with their machines."""
    known = read_lines(TARGET / RECORDS) if (TARGET / RECORDS).exists() else ([], [])
    anew = {row_of(one) for one in records}
    both = [one for one in known[1] if row_of(one) not in anew] + list(records)
    used = {one.environment for one in both}
    places = {one.environment: one for one in (*known[0], *machines) if one.environment in used}
    return list(places.values()), sorted(both, key=row_of)


def row_of(record: ClientRecord) -> tuple[str, str, str]:
    """Return what tells the bundle of a record: network, split and precision."""
    name = parse_variant(record.variant)
    return name.network, record.split_method, name.precision


def read_lines(path: Path) -> tuple[list[EnvironmentRecord], list[ClientRecord]]:
    """Return the machines and the records of clients in a file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    kinds = [(json.loads(line)["kind"], line) for line in lines]
    machines = [line for kind, line in kinds if kind == "environment"]
    clients = [line for kind, line in kinds if kind == "client"]
    return (
        [EnvironmentRecord.model_validate_json(line) for line in machines],
        [ClientRecord.model_validate_json(line) for line in clients],
    )


def with_results(
    text: str, machines: Sequence[EnvironmentRecord], records: Sequence[ClientRecord]
) -> str:
    """Return the page's text with its block written anew."""
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise SystemExit(f"{PAGE.name} has no block {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{block(machines, records)}{END}{after}"


def block(machines: Sequence[EnvironmentRecord], records: Sequence[ClientRecord]) -> str:
    """Return the table, a row a bundle and a column a client, and what failed below it."""
    rows: dict[tuple[str, str, str], dict[str, ClientRecord]] = {}
    for one in records:
        rows.setdefault(row_of(one), {})[one.client] = one
    failures = list(dict.fromkeys(one.failure for one in records if one.failure))
    return "\n".join(
        [
            f"| bundle | split | precision | {' | '.join(CLIENTS)} |",
            f"|---|---|---|{'---|' * len(CLIENTS)}",
            *(f"| {' | '.join((*key, *cells(row, failures)))} |" for key, row in rows.items()),
            "",
            "Golden pictures with the same top class, and the largest difference of a probability"
            f" from the runtime that made the bundle{tolerances(records)}.",
            f"Clients: {'; '.join(versions(records))}.",
            f"Run on {', and on '.join(dict.fromkeys(map(machine_in_words, machines)))}.",
            *(
                f"\n[{number}] {' '.join(reason.split())}"
                for number, reason in enumerate(failures, start=1)
            ),
            "",
        ]
    )


def versions(records: Sequence[ClientRecord]) -> list[str]:
    """Return every version of each client, in the order of the columns."""
    found = dict.fromkeys((one.client, one.version) for one in records if one.version)
    return [version for client in CLIENTS for name, version in found if name == client]


def cells(row: dict[str, ClientRecord], failures: Sequence[str]) -> list[str]:
    """Return what each client said of a bundle, in short."""
    found = []
    for record in map(row.get, CLIENTS):
        if record is None:
            found.append("not run")
        elif record.failure:
            found.append(f"failed [{failures.index(record.failure) + 1}]")
        else:
            told = f"{record.same_top} of {record.pictures}, {record.max_difference:.1g}"
            found.append(told)
    return found


def machine_in_words(machine: EnvironmentRecord) -> str:
    """Return the processor, what it can do, and the system."""
    features = ", ".join(machine.cpu_features)
    return f"{machine.cpu}{f' with {features}' if features else ''} ({machine.system})"


def tolerances(records: Sequence[ClientRecord]) -> str:
    """Return the bounds of each precision in words, where any client got so far."""
    bounds = {parse_variant(one.variant).precision: one.tolerance for one in records if one.version}
    told = ", ".join(f"{bound:g} in {precision}" for precision, bound in sorted(bounds.items()))
    return f" (at most {told})" if told else ""


if __name__ == "__main__":
    try:
        main()
    except ThreadliteError as error:
        raise SystemExit(f"publish_clients: {error}") from error
