"""The sentences of a report: whose times, what the splits mean, what is doubtful."""

from collections.abc import Sequence

from bench.adb import is_phone
from bench.record import (
    AccuracyRecord,
    CrossvalRecord,
    EnvironmentRecord,
    LatencyRecord,
    Record,
    TrainingRecord,
    of_kind,
)
from bench.report_format import as_ms, as_row, listed
from bench.report_tables import VariantRow

FEW_SENDERS = 10
MOST_NAMES = 8  # of approaches that one machine trained
MOSTLY_LOADED = 0.95  # of the parameters; what a new head leaves of a pretrained network is more
APPROACHES = (
    "Test photos: the float network of each approach under its own runtime. Out of fold: every"
    " photo, judged by the model of the fold that held it out. ± is the standard deviation over"
    " folds, which is no interval; intervals are 95 %, senders resampled. Calibration error is the"
    " expected one, in 15 bins of confidence."
)
NETWORKS = (
    " An approach that was trained more than once has a row a network, by the first digits of its"
    " digest; folds stand beside the one that was judged on their machine."
)
ORIGINAL = (
    " The original is the project that threadlite follows: figures as it reported them, for"
    " orientation; its test photos need not be these."
)
FLATTERS = (
    "The stratified split lets photos of one sender fall on both sides, and photos of one sender"
    " resemble one another, so it flatters; the grouped split keeps each sender on one side and is"
    " the nearer to what new users will see."
)
LEGEND = (
    "Hollow marks are float, filled ones are of another precision; colour is the network, shape"
    " the runtime, area the file's size. Upright bars are the 95 % interval of F1, level ones run"
    " from the 10th to the 90th percentile of single calls. The dashed line is the Pareto front of"
    " the test figures, of all variants whatever is filtered."
)
COLUMNS = (
    "Weighted F1 and accuracy are of the test photos, under the runtime named; intervals are 95 %,"
    " senders resampled. Against float: the same runtime and machine, and for F1 the same photos,"
    " paired. Latencies are single calls, batch 1. MB is 10⁶ bytes. One MACC is two FLOPs."
)


def machine_name(environment: str, known: dict[str, EnvironmentRecord]) -> str:
    """Return the processor's name, or say that the records do not tell it.

    Where another machine, or one with other software, has a processor of that name, the beginning
    of ``environment`` tells them apart.
    """
    found = known.get(environment)
    if found is None:
        return f"unknown machine {environment}"
    alike = sum(one.cpu == found.cpu for one in known.values())
    return found.cpu if alike == 1 else f"{found.cpu} ({environment[:8]})"


def machine_sentence(environments: Sequence[str], known: dict[str, EnvironmentRecord]) -> str:
    """Return whose times these are, and that other machines' are not to be laid beside them."""
    if not environments:
        return "No times were taken."
    names = [machine_name(environment, known) for environment in environments]
    whose = f"Times are those of {' and of '.join(names)}"
    if any(is_phone(known[environment]) for environment in environments if environment in known):
        whose += "."
    else:
        whose += ", not a phone's: there both the times and their order may differ."
    if len(names) > 1:
        whose += (
            f" They come from {len(names)} machines, or states of their software; each has pictures"
            " and tables of its own, and times of one are not to be compared with times of another."
        )
    return whose


def effort_sentence(records: Sequence[Record], known: dict[str, EnvironmentRecord]) -> str:
    """Return which machine trained what, where there were several; else nothing."""
    machines: dict[str, dict[str, None]] = {}
    for one in records:
        if isinstance(one, TrainingRecord | CrossvalRecord):
            machines.setdefault(one.environment, {})[one.approach] = None
    if len(machines) < 2:
        return ""
    trained = "; ".join(
        f"{machine_name(environment, known)}: {listed(list(names), MOST_NAMES)}"
        for environment, names in machines.items()
    )
    return f"Seconds of different machines are not to be compared. {trained}."


def condition_name(row: VariantRow, known: dict[str, EnvironmentRecord]) -> str:
    """Return the machine and threads that a row's times belong to."""
    name = machine_name(row.environment, known)
    if row.threads is None:
        return f"{name}, not timed"
    return f"{name}, {row.threads} thread{'' if row.threads == 1 else 's'}"


def split_sentence(rows: Sequence[VariantRow], records: Sequence[Record]) -> str:
    """Return what the splits of this report mean, empty where there are none."""
    methods = {row.split_method for row in rows}
    folded = {one.split_method for one in of_kind(records, CrossvalRecord)}
    if methods == {"stratified"}:
        others = "; folds were grouped too" if "grouped" in folded else ""
        return f"Test photos are of the stratified split alone{others}. {FLATTERS}"
    if methods == {"grouped"}:
        return "Test photos are of the grouped split alone: no sender is on two sides of it."
    return FLATTERS if methods else ""


def sender_doubts(records: Sequence[Record]) -> list[str]:
    """Return what the senders of the judged photos make doubtful, a sentence a split."""
    judged = [
        (f"{one.split_method} split", "test photos", one.senders)
        for one in of_kind(records, AccuracyRecord)
        if one.side == "test"
    ]
    judged += [
        (f"{one.folds} {one.split_method} folds", "photos", one.photo_senders)
        for one in of_kind(records, CrossvalRecord)
    ]
    found: list[str] = []
    for where, what, names in judged:
        senders, photos = len(set(names)), len(names)
        if photos < 2:
            continue
        if senders == photos:
            found.append(
                f"{where}: the photos name no senders, so each counts as one of"
                " its own; if people sent several, every interval is too narrow."
            )
        elif senders < FEW_SENDERS:
            found.append(
                f"{where}: the {what} come from {senders} senders;"
                " intervals that draw so few are too narrow."
            )
    return found


def weights_sentences(records: Sequence[Record]) -> tuple[str, ...]:
    """Return which approaches began random, wholly or for the most part, and why."""
    reasons: dict[str, dict[str, None]] = {}
    partly: dict[str, None] = {}
    for one in records:
        if not isinstance(one, TrainingRecord | CrossvalRecord):
            continue
        source, _, reason = one.weights_source.partition(" ")
        if source == "random":
            reasons.setdefault(reason.strip("()"), {})[one.approach] = None
        elif one.weights_coverage < MOSTLY_LOADED:
            partly[
                f"{one.approach}: {100 * (1 - one.weights_coverage):.1f} % of its parameters began"
                f" random, the others from {one.weights_source}."
            ] = None
    random = (
        f"Began from random weights{f' ({reason})' if reason else ''}: {', '.join(names)}."
        for reason, names in reasons.items()
    )
    return (*random, *partly)


def doubts(records: Sequence[Record], rows: Sequence[VariantRow]) -> tuple[str, ...]:
    """Return what makes these figures doubtful or incomplete, a sentence each."""
    found = sender_doubts(records)
    for timed in of_kind(records, LatencyRecord):
        found += [f"{_called(timed)}: {warning}." for warning in timed.warnings]
    found += _repetitions(of_kind(records, LatencyRecord))
    known = {one.environment for one in of_kind(records, EnvironmentRecord)}
    for name in sorted({row.environment for row in rows} - known):
        found.append(f"No record describes the machine {name} that times were taken on.")
    for row in rows:
        missing = [
            word
            for word, value in (("test F1", row.f1), ("latency", row.median_ms))
            if value is None
        ]
        if missing:
            name = f"{as_row(row)} ({row.split_method})"
            found.append(f"{name} has no {' and no '.join(missing)}: it is in no picture.")
    uncounted = {(row.variant, kind, count) for row in rows for kind, count in row.uncounted}
    for variant, kind, count in sorted(uncounted):
        found.append(f"{variant}: its MACCs leave out {count} {kind}.")
    return tuple(dict.fromkeys(found))


def _called(timed: LatencyRecord) -> str:
    return f"{timed.variant} on {timed.runtime} ({timed.split_method})"


def _repetitions(times: Sequence[LatencyRecord]) -> list[str]:
    """Return what one machine timed more than once, of which a report shows the latest alone."""
    found: dict[tuple[object, ...], list[LatencyRecord]] = {}
    for one in times:
        key = (
            one.split_method, one.variant, one.variant_sha256, one.runtime, one.environment,
            one.threads,
        )  # fmt: skip
        found.setdefault(key, []).append(one)
    return [
        f"{_called(group[0])} was timed {len(group)} times, with medians of"
        f" {', '.join(as_ms(one.median_ms) for one in group)} ms; the last one counts."
        for group in found.values()
        if len(group) > 1
    ]
