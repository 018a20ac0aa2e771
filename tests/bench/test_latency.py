"""Latency: exact arithmetic on scripted callers, then children that live, hang and die."""

import io
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench import child, worker
from bench.caches import BUFFER_BYTES, copy_speed
from bench.child import Child
from bench.latency import LEAST_TURNS, PROCESSES, TURN_CALLS, measure_latencies, shares_of
from bench.record import FailureRecord, LatencyRecord
from bench.steadiness import (
    Conditions,
    WarmupRule,
    condition_warnings,
    drift,
    half_width,
    is_steady,
    median_interval,
    read_conditions,
    sample_warnings,
    two_states,
    worse_of,
)
from bench.worker import LEAD_SECONDS, SETTLE_PAUSES, SETTLE_SECONDS, settle
from tests.bench.damage import flipped, truncated
from train.artifact import Artifact, open_artifact
from train.errors import ConfigError, RuntimeFailure
from train.pixels import Pixels

KEPT = Path(__file__).parents[2] / "models/efficientnet-lite0"
RULE = WarmupRule(window=3, tolerance=0.02, max_calls=12, max_seconds=10.0)
MEMORY = ("base_rss_bytes", "peak_rss_bytes", "peak_rss_bytes")  # of the worker's three answers
PICTURE = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
ENVIRONMENT = "e" * 16


# --- when is it steady, and how sure is a median -----------------------------------------------


@pytest.mark.parametrize(
    ("latencies", "steady"),
    [
        ([], False),
        ([10.0] * 5, False),  # less than two windows
        ([10.0] * 6, True),
        ([90.0, 10.0, 10.0, 10.0, 10.0, 10.2], True),  # medians 10 and 10
        ([10.0, 10.0, 10.0, 10.2, 10.2, 10.2], True),  # 2.0 %: just within
        ([10.0, 10.0, 10.0, 10.3, 10.3, 10.3], False),  # 3 % slower
        ([10.0, 10.0, 10.0, 9.7, 9.7, 9.7], False),  # 3 % faster: still warming up
    ],
)
def test_steady_when_two_windows_agree(latencies: list[float], steady: bool) -> None:
    assert is_steady(latencies, RULE) is steady


@pytest.mark.parametrize(
    ("latencies", "exhausted"),
    [([1.0] * 11, False), ([1.0] * 12, True), ([9_999.0], False), ([4_000.0, 6_000.0], True)],
)
def test_warming_up_ends_by_calls_or_by_time(latencies: list[float], exhausted: bool) -> None:
    assert RULE.exhausted(latencies) is exhausted


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [
        # P(B(n, 1/2) <= k - 1) <= 2.5 %: from tables of the sign test.
        (1, 1, 1),
        (5, 1, 5),  # 2 x 1/32 = 6.3 %: no 95 % interval exists
        (6, 1, 6),  # 2 x 1/64 = 3.1 %
        (9, 2, 8),  # 2 x 10/512 = 3.9 %
        (10, 2, 9),
        (20, 6, 15),
        (50, 18, 33),
    ],
)
def test_median_interval_by_ranks(count: int, low: int, high: int) -> None:
    values = [float(value) for value in range(count, 0, -1)]
    assert median_interval(values) == (low, high)


@pytest.mark.parametrize(
    ("medians", "expected"),
    [
        ([2.0, 2.1] * 6 + [4.8, 5.0] * 4, (2.05, 4.9, 8 / 20)),
        ([2.0] * 10 + [2.1] * 10, None),  # a gap of 5 %
        ([2.0 * 1.02**step for step in range(20)], None),  # a slope
        ([2.0] * 18 + [9.0] * 2, None),  # a tenth of the turns: a disturbance, not a state
        ([2.0] * 3, None),
        ([], None),
    ],
    ids=["two", "near", "slope", "disturbed", "few", "none"],
)
def test_two_states_have_a_gap_between_them(
    medians: list[float], expected: tuple[float, float, float] | None
) -> None:
    found = two_states([(median,) * 3 for median in reversed(medians)])
    assert (found is None) if expected is None else found == pytest.approx(expected)


def test_half_width_is_that_of_the_medians_of_the_turns() -> None:
    # Medians 95, 99, 100, 101, 105, 110: six, so least and greatest; their median is 100.5.
    turns = [(1.0, m, 900.0) for m in (95.0, 99.0, 100.0, 101.0, 105.0, 110.0)]
    assert half_width(turns) == pytest.approx((110 - 95) / 2 / 100.5)


@pytest.mark.parametrize(
    ("medians", "expected"),
    [((10.0,), 0.0), ((10.0, 11.0), 0.1), ((10.0, 10.0, 99.0, 9.0, 9.0), -0.1)],
)
def test_drift_compares_the_halves(medians: tuple[float, ...], expected: float) -> None:
    assert drift([(m, m) for m in medians]) == pytest.approx(expected)


def test_quiet_times_carry_no_warning() -> None:
    assert sample_warnings([10.0] * 6, [(10.0, 10.0)] * 10, RULE) == []
    assert condition_warnings(Conditions(), threads=2, cores=2) == []


def test_each_doubt_about_samples_says_what_to_do() -> None:
    unsteady = sample_warnings([10.0, 20.0] * 6, [(10.0,)] * 10, RULE)
    assert len(unsteady) == 1
    assert "not steady after 12 warm-up calls" in unsteady[0]
    assert "close other programs" in unsteady[0]
    noisy = [(10.0,), (11.4,), (10.7,), (11.4,), (10.0,)]
    spread = sample_warnings([10.0] * 6, noisy * 2, RULE)
    assert len(spread) == 1
    # Ranks 2 and 9 of ten: 10 and 11.4; half of 1.4 over the median 10.7 is 6.5 %.
    assert "only known to within 6.5% (95 %, 10 rounds)" in spread[0]
    drifting = sample_warnings([10.0] * 6, [(10.0,)] * 10 + [(10.7,)] * 10, RULE)
    assert any("7% slower" in warning and "cool" in warning for warning in drifting)
    moved = sample_warnings([10.0] * 6, [(10.0,)] * 12 + [(14.0,)] * 8, RULE)
    assert any("now 10.00 ms, now 14.00 ms (40% of the turns)" in warning for warning in moved)
    assert not any("slower" in warning for warning in moved)


@pytest.mark.parametrize(
    ("conditions", "threads", "words"),
    [
        (Conditions(), 4, "4 threads on 2 cores"),
        (Conditions(busy_share=0.5), 2, "other programs kept the CPU 50% busy"),
        (Conditions(stolen_share=0.05), 2, "host kept 5% of the CPU"),
        (Conditions(governor="powersave"), 2, "governor powersave"),
        (Conditions(on_battery=True), 2, "plug it in"),
    ],
)
def test_each_doubt_about_the_machine_says_what_to_do(
    conditions: Conditions, threads: int, words: str
) -> None:
    warnings = condition_warnings(conditions, threads=threads, cores=2)
    assert len(warnings) == 1
    assert words in warnings[0]


def test_the_worse_of_two_readings_counts() -> None:
    worst = worse_of(Conditions(busy_share=0.4, governor="ondemand"), Conditions(stolen_share=0.1))
    assert worst == Conditions(busy_share=0.4, stolen_share=0.1)


def test_this_machine_can_be_watched() -> None:
    seen = read_conditions()
    assert 0.0 <= seen.busy_share <= 1.0
    assert 0.0 <= seen.stolen_share <= 1.0


# --- interleaving, with scripted callers ---------------------------------------------------------


class Scripted:
    """A caller whose times are scripted; it notes who was called, and dies when told to."""

    def __init__(self, name: str, log: list[str], times: Iterable[float], dies_at: int) -> None:
        self.runtime, self.batch, self.load_ms = "fake 1.0", 1, 7.0
        self.cold_start_ms, self.base_rss_bytes, self.peak_rss_bytes = 40.0, 1000, None
        self._name, self._log, self._dies_at = name, log, dies_at
        self._times, self._asked = iter(times), 0
        self.closed = False

    def call(self, *, untimed: int, timed: int) -> tuple[float, ...]:
        self._asked += 1
        if self._asked == self._dies_at:
            raise RuntimeFailure("the process was killed by SIGSEGV")
        self._log.append(f"{self._name} {untimed}+{timed}")
        self.peak_rss_bytes = 2000 + self._asked
        return tuple(next(self._times) for _ in range(timed))

    def close(self) -> None:
        self.closed = True


class Stage:
    """Launches scripted callers; a variant's content is its script."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.callers: dict[str, Scripted] = {}
        self.pictures: dict[str, Pixels] = {}

    def launch(self, artifact: Artifact, runtime: str, threads: int, picture: Pixels) -> Scripted:
        name = artifact.manifest.name.network
        script = json.loads(artifact.payload.read_text())
        if "refused" in script:
            raise RuntimeFailure(script["refused"])

        def times() -> Iterator[float]:
            yield from script.get("first", [])
            while True:
                yield script["then"]

        self.pictures[name] = picture
        self.callers[name] = Scripted(name, self.log, times(), script.get("dies_at", 0))
        return self.callers[name]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (40, 30), (200, 100, 50)).save(path)
    return path


@pytest.fixture
def scripted(
    tmp_path: Path, picture: Path, fake_artifact: Callable[..., Artifact]
) -> Callable[..., tuple[list[LatencyRecord | FailureRecord], Stage]]:
    """Return what measures scripted variants, given by name."""

    def measure(
        scripts: dict[str, dict[str, Any]], **options: Any
    ) -> tuple[list[LatencyRecord | FailureRecord], Stage]:
        stage = Stage()
        variants = [
            (
                fake_artifact(
                    tmp_path / name, f"{name}.int8.tflite", json.dumps(script).encode(), size=size
                ),
                "litert",
            )
            for size, (name, script) in enumerate(scripts.items(), start=16)
        ]
        settings: dict[str, Any] = {
            "threads": 1,
            "rounds": 4,
            "environment": ENVIRONMENT,
            "picture": picture,
            "rule": RULE,
            "launch": stage.launch,
            "watch": Conditions,
            "probe": lambda: 20.0,
            **options,
        }
        return measure_latencies(variants, **settings), stage

    return measure


def test_a_record_holds_every_timed_call_and_none_of_the_others(scripted: Any) -> None:
    # Windows of 3: (30, 20, 10) has median 20, (10, 10, 10) has 10, and then 10 again.
    (record,), stage = scripted({"net": {"first": [30.0, 20.0, 10.0], "then": 10.0}})
    assert stage.log == ["net 0+3"] * 3 + [f"net 1+{TURN_CALLS}"] * 4
    assert record == LatencyRecord(
        variant="net.int8.tflite",
        variant_sha256=record.variant_sha256,
        network_sha256=record.variant_sha256,
        split_method="grouped",
        environment=ENVIRONMENT,
        runtime="fake 1.0",
        threads=1,
        warmup_runs=9,
        calls_per_turn=TURN_CALLS,
        copy_gbs=20.0,
        load_ms=7.0,
        cold_start_ms=40.0,
        base_rss_bytes=1000,
        peak_rss_bytes=2000 + 3 + 4,  # as the last call tells
        latencies_ms=(10.0,) * (4 * TURN_CALLS),
    )
    assert stage.callers["net"].closed


@pytest.mark.parametrize(
    ("rounds", "shares"),
    [(1, [1]), (5, [5]), (9, [9]), (10, [5, 5]), (14, [7, 7]), (15, [5] * 3), (35, [11, 12, 12])],
)
def test_rounds_are_shared_out_among_processes(rounds: int, shares: list[int]) -> None:
    assert (PROCESSES, LEAST_TURNS) == (3, 5)
    assert shares_of(rounds) == shares


def test_each_process_warms_up_and_takes_its_turns(scripted: Any) -> None:
    starts = itertools.count()

    class Restarted(Stage):
        """Every process is slower than the one before, and holds more memory."""

        def launch(self, *arguments: Any) -> Scripted:
            number = next(starts)
            caller = super().launch(*arguments)
            caller._times = itertools.repeat(10.0 + number)
            caller.load_ms += number
            caller._asked += 100 * number
            return caller

    stage = Restarted()
    (record,), _ = scripted({"net": {"then": 0.0}}, rounds=11, launch=stage.launch)
    warm = ["net 0+3"] * 2
    timed = [f"net 1+{TURN_CALLS}"]
    assert stage.log == [*warm, *timed * 5, *warm, *timed * 6]
    assert record.latencies_ms == (10.0,) * 5 * TURN_CALLS + (11.0,) * 6 * TURN_CALLS
    assert (record.processes, record.warmup_runs, record.load_ms) == (2, 6, 7.0)
    assert record.peak_rss_bytes == 2000 + 100 + 2 + 6  # of the process that held most


def test_a_variant_whose_later_process_is_refused_is_a_failure(scripted: Any) -> None:
    class OnceOnly(Stage):
        def launch(self, artifact: Artifact, *arguments: Any) -> Scripted:
            if artifact.manifest.name.network in self.callers and "b" in artifact.manifest.variant:
                raise RuntimeFailure("no memory is left")
            return super().launch(artifact, *arguments)

    stage, turns = OnceOnly(), list[int]()
    scripts = {"a": {"then": 1.0}, "b": {"then": 1.0}}
    records, _ = scripted(scripts, rounds=10, launch=stage.launch, advance=turns.append)
    assert isinstance(records[0], LatencyRecord)
    assert isinstance(records[1], FailureRecord)
    assert (records[1].reason, records[1].runtime) == ("no memory is left", "fake 1.0")
    assert sum(turns) == 20


def test_every_round_gives_every_variant_one_turn_in_a_new_order(scripted: Any) -> None:
    scripts = {name: {"then": 10.0} for name in ("a", "b", "c", "d")}
    turns: list[int] = []
    records, stage = scripted(scripts, rounds=12, advance=turns.append)
    timed = [line.split()[0] for line in stage.log if line.endswith(f"+{TURN_CALLS}")]
    rounds = [tuple(timed[start : start + 4]) for start in range(0, len(timed), 4)]
    assert len(rounds) == 12
    assert all(set(order) == {"a", "b", "c", "d"} for order in rounds)
    assert len(set(rounds)) > 6  # 12 draws out of 24 orders
    assert [record.variant[0] for record in records] == ["a", "b", "c", "d"]
    assert turns == [1] * 48


def test_the_caches_are_asked_once_a_round_and_the_median_is_told(scripted: Any) -> None:
    speeds = iter([10.0, 30.0, 20.0, 11.0, 12.0])
    records, _ = scripted({"a": {"then": 1.0}, "b": {"then": 1.0}}, rounds=5, probe=speeds.__next__)
    assert [record.copy_gbs for record in records] == [12.0, 12.0]
    assert next(speeds, None) is None


def test_a_copy_is_timed_by_the_median_of_its_passes() -> None:
    ticks = iter([0.0, 1.0, 1.0, 3.0, 3.0, 12.0, 12.0, 12.5, 12.5, 14.5])  # 1, 2, 9, 0.5 and 2 s
    assert copy_speed(ticks.__next__) == pytest.approx(BUFFER_BYTES / 2.0 / 1e9)
    assert copy_speed() > 0.1  # of this machine, on a real clock


def test_the_order_repeats_with_its_seed(scripted: Any) -> None:
    def order(tag: str, seed: int) -> list[str]:
        names = {f"{letter}{tag}": {"then": 10.0} for letter in "abc"}
        return [line[0] for line in scripted(names, rounds=6, seed=seed)[1].log]

    assert order("1", 5) == order("2", 5) != order("3", 6)


def test_each_variant_is_shown_the_photo_under_its_own_contract(scripted: Any) -> None:
    _, stage = scripted({"small": {"then": 1.0}, "large": {"then": 1.0}})
    assert stage.pictures["small"].shape == (16, 16, 3)
    assert stage.pictures["large"].shape == (17, 17, 3)
    assert stage.pictures["large"][0, 0].tolist() == [200, 100, 50]


def test_never_steady_is_timed_all_the_same_and_warned_of(scripted: Any) -> None:
    (record,), _ = scripted(
        {"net": {"first": [10.0, 10.0, 10.0, 20.0, 20.0, 20.0] * 2, "then": 9.0}}
    )
    assert record.warmup_runs == RULE.max_calls
    assert len(record.warnings) == 1
    assert "not steady after 12 warm-up calls" in record.warnings[0]


def test_a_busy_machine_is_warned_of_in_every_record(scripted: Any) -> None:
    readings = iter([Conditions(), Conditions(busy_share=0.3)])  # before and after
    records, _ = scripted({"a": {"then": 1.0}, "b": {"then": 1.0}}, watch=lambda: next(readings))
    assert ["30% busy" in record.warnings[0] for record in records] == [True, True]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ({"refused": "model.tflite is truncated"}, "model.tflite is truncated"),
        ({"then": 1.0, "dies_at": 1}, "the process was killed by SIGSEGV"),  # warming up
        ({"then": 1.0, "dies_at": 5}, "the process was killed by SIGSEGV"),  # in a round
    ],
    ids=["refused", "dies warming up", "dies in a round"],
)
def test_a_variant_that_fails_is_a_record_and_the_run_goes_on(
    scripted: Any, script: dict[str, Any], reason: str
) -> None:
    turns: list[int] = []
    records, stage = scripted(
        {"first": {"then": 1.0}, "broken": script, "last": {"then": 2.0}}, advance=turns.append
    )
    assert [type(record) for record in records] == [LatencyRecord, FailureRecord, LatencyRecord]
    failure = records[1]
    assert (failure.stage, failure.reason) == ("latency", reason)
    assert failure.variant == "broken.int8.tflite"
    assert failure.variant_sha256
    assert len(records[2].latencies_ms) == 4 * TURN_CALLS
    assert all(caller.closed for caller in stage.callers.values())
    assert sum(turns) == 12  # a progress bar reaches its end


@pytest.mark.parametrize("broken", [{"threads": 0}, {"rounds": 0}])
def test_no_threads_or_rounds_is_refused(scripted: Any, broken: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        scripted({"net": {"then": 1.0}}, **broken)


def test_children_are_ended_when_the_run_is_interrupted(scripted: Any) -> None:
    ended: list[Stage] = []

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    original = Stage.launch

    def launch(self: Stage, *arguments: Any) -> Scripted:
        ended.append(self)
        return original(self, *arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Stage, "launch", launch)
        scripted({"net": {"then": 1.0}}, advance=interrupt)
    assert ended[0].callers["net"].closed


# --- the worker, on a clock of its own -----------------------------------------------------------


class Model:
    """A runtime whose calls take a scripted time on a clock that only they move."""

    def __init__(self, clock: list[float], costs: Iterable[float]) -> None:
        self.name, self.input_shape, self.classes = "fake 1.0", (1, 4, 4, 3), 2
        self.clock, self.costs = clock, iter(costs)
        self.fed: list[Any] = []
        self.closed = False

    def feed(self, pixels: Any) -> None:
        self.fed.append(pixels)

    def invoke(self) -> None:
        self.clock[0] += next(self.costs)

    def predict(self, pixels: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(turns: list[dict[str, int]], costs: Iterable[float]) -> tuple[list[Any], list[Model]]:
    """Run the worker on these requests; opening takes 1 s, then 0.25 s on its clock."""
    job = {"model": "m.tflite", "runtime": "litert", "threads": 2, "picture_shape": [4, 4, 3]}
    lines = [json.dumps(turn).encode() + b"\n" for turn in turns]
    requests = io.BytesIO(json.dumps(job).encode() + b"\n" + PICTURE.tobytes() + b"".join(lines))
    replies, clock, models = io.BytesIO(), [100.0], []
    shared = iter(costs)

    def open_model(model: Path, runtime: str, threads: int) -> Any:
        assert (model, runtime, threads) == (Path("m.tflite"), "litert", 2)
        clock[0] += 0.25 if models else 1.0
        models.append(Model(clock, shared))
        return models[-1]

    worker.serve(requests, replies, open_model=open_model, clock=lambda: clock[0])
    return [json.loads(line) for line in replies.getvalue().splitlines()], models


def test_the_worker_times_only_the_timed_calls() -> None:
    replies, models = _serve(
        [{"untimed": 1, "timed": 2}, {"untimed": 0, "timed": 1}], [0.5, 9.0, 0.5, 0.25, 2.0]
    )
    memory = [reply.pop(name) for reply, name in zip(replies, MEMORY, strict=True)]
    # The kernel counts pages a core at a time, and takes unused ones back: it may be some behind.
    assert 0 < memory[0] <= memory[1] + 2**20 <= memory[2] + 2**21
    assert replies == [
        # The library and the model in 1 s, the first answer in half a second.
        {"runtime": "fake 1.0", "batch": 1, "load_ms": 250.0, "cold_start_ms": 1500.0},
        {"latencies_ms": [500.0, 250.0]},
        {"latencies_ms": [2000.0]},
    ]
    assert np.array_equal(models[-1].fed[0], PICTURE[np.newaxis])
    assert all(model.closed for model in models)


def test_a_quick_model_is_called_for_a_while_before_its_turn() -> None:
    quick = LEAD_SECONDS / 3.9  # four of them last a little longer
    costs = [0.5, *[quick] * 4, 3.0, 0.5]  # the cold start, the lead-in, two turns
    replies, _ = _serve([{"untimed": 1, "timed": 1}, {"untimed": 0, "timed": 1}], costs)
    assert [reply["latencies_ms"] for reply in replies[1:]] == [[3000.0], [500.0]]


def test_the_worker_answers_a_failing_model_with_its_reason() -> None:
    def fails() -> Iterator[float]:
        yield from (1.0, 1.0)  # the cold start, and the first timed call
        raise ValueError("node 3 failed to invoke")

    replies, models = _serve([{"untimed": 0, "timed": 2}], fails())
    assert replies[-1] == {"error": "ValueError: node 3 failed to invoke"}
    assert models[-1].closed


def test_the_worker_imports_no_tensorflow() -> None:
    code = "import sys, bench.worker; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- children that live, hang and die ------------------------------------------------------------

ANSWERS = """
import json, sys, time, os, signal
json.loads(sys.stdin.buffer.readline()); sys.stdin.buffer.read(48)
def say(**message): print(json.dumps(message), flush=True)
def loaded(): say(runtime='fake', batch=1, load_ms=1.0, cold_start_ms=2.0, base_rss_bytes=3)
"""


@pytest.fixture
def impostor(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Child]:
    """Return what starts a child that runs other code than the worker's."""

    def start(code: str, **options: Any) -> Child:
        def popen(complaints: int) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, "-c", ANSWERS + code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
            )

        monkeypatch.setattr(child, "_start", popen)
        return Child(Path("m.tflite"), "litert", threads=1, picture=PICTURE, **options)

    return start


def test_a_child_that_refuses_gives_its_reason(impostor: Any) -> None:
    with pytest.raises(RuntimeFailure, match=r"^m\.tflite is truncated$"):
        impostor("say(error='m.tflite is truncated')")


def test_a_child_that_is_killed_names_the_signal_and_its_last_words(impostor: Any) -> None:
    code = "print('assert failed', file=sys.stderr, flush=True); os.kill(os.getpid(), 6)"
    with pytest.raises(RuntimeFailure, match=r"^the process was killed by SIGABRT: assert failed$"):
        impostor(code)


def test_a_child_that_ends_says_how(impostor: Any) -> None:
    with pytest.raises(RuntimeFailure, match=r"^the process ended with code 3$"):
        impostor("sys.exit(3)")


def test_a_child_that_dies_between_calls_is_noticed(impostor: Any) -> None:
    alive = impostor(
        "loaded(); sys.stdin.buffer.readline(); say(latencies_ms=[1.5], peak_rss_bytes=4);"
        "os.kill(os.getpid(), 9)"
    )
    assert alive.call(untimed=0, timed=1) == (1.5,)
    assert (alive.cold_start_ms, alive.base_rss_bytes, alive.peak_rss_bytes) == (2.0, 3, 4)
    with pytest.raises(RuntimeFailure, match="killed by SIGKILL"):
        alive.call(untimed=0, timed=1)
    alive.close()
    alive.close()


def test_a_child_that_hangs_is_ended(impostor: Any) -> None:
    alive = impostor("loaded(); time.sleep(60)", answer_seconds=1.0)
    with pytest.raises(RuntimeFailure, match="no answer within 1 s and was ended"):
        alive.call(untimed=0, timed=1)
    alive.close()


def test_a_child_cut_off_in_the_middle_of_an_answer_is_dead(impostor: Any) -> None:
    with pytest.raises(RuntimeFailure, match="killed by SIGSEGV"):
        impostor("sys.stdout.write('{\"runt'); sys.stdout.flush(); os.kill(os.getpid(), 11)")


def test_closing_ends_the_process(impostor: Any) -> None:
    alive = impostor("loaded(); sys.stdin.buffer.readline()")
    process = alive._process
    alive.close()
    assert process.returncode == 0


def test_a_worker_ends_when_whoever_started_it_is_killed() -> None:
    process = child._start(subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.close()  # what the system does for a killed parent
    process.wait(timeout=30)
    assert process.stdout is not None
    process.stdout.close()
    assert process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


# --- for real ------------------------------------------------------------------------------------


def _small_onnx(path: Path) -> None:
    """Write the smallest classifier: uint8 pixels, their mean over the picture, softmax."""
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Cast", ["pixels"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["cast", "axes"], ["mean"], keepdims=0),
        helper.make_node("Softmax", ["mean"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, 16, 16, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)


def _small_tflite(path: Path) -> None:
    from train.backend import tensorflow

    tf = tensorflow()

    def call(pixels: Any) -> Any:
        return tf.nn.softmax(tf.reduce_mean(tf.cast(pixels, tf.float32), axis=[1, 2]))

    function = tf.function(
        call, input_signature=[tf.TensorSpec((1, 16, 16, 3), tf.uint8, "pixels")]
    )
    concrete = function.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    path.write_bytes(converter.convert())


def test_both_runtimes_are_timed_and_broken_files_are_records(
    tmp_path: Path, picture: Path, fake_artifact: Callable[..., Artifact], monkeypatch: Any
) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "tensorflow.py").write_text("raise SystemExit('the worker imported TensorFlow')")
    monkeypatch.setenv("PYTHONPATH", str(trap))
    onnx_file, tflite_file = tmp_path / "m.onnx", tmp_path / "m.tflite"
    _small_onnx(onnx_file)
    _small_tflite(tflite_file)
    variants = []
    for path, runtime in ((tflite_file, "litert"), (onnx_file, "onnxruntime")):
        data = path.read_bytes()
        for name, content in (("whole", data), ("cut", data[: len(data) // 2])):
            folder = tmp_path / f"{name}{path.suffix}"
            artifact = fake_artifact(folder, f"{name}.float{path.suffix}", content)
            variants.append((artifact, runtime))
    records = measure_latencies(
        variants, threads=1, rounds=2, environment=ENVIRONMENT, picture=picture, watch=Conditions
    )
    kinds = [type(record).__name__ for record in records]
    assert kinds == ["LatencyRecord", "FailureRecord"] * 2, records
    assert [record.runtime.split()[0] for record in records] == ["litert"] * 2 + ["onnxruntime"] * 2
    for record in records:
        if isinstance(record, LatencyRecord):
            assert len(record.latencies_ms) == 2 * TURN_CALLS
            assert 0.0 < record.median_ms < 1_000.0
            assert record.cold_start_ms is not None and record.cold_start_ms > record.load_ms > 0.0
            # A runtime's library alone is some megabytes; nothing here is near a gigabyte.
            assert record.base_rss_bytes is not None and record.peak_rss_bytes is not None
            assert 2e6 < record.peak_rss_bytes - record.base_rss_bytes < 1e9
        else:
            assert "imported TensorFlow" not in record.reason
            assert "model" in record.reason
            assert str(tmp_path) not in record.reason  # a record holds no path of a machine


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_kept_model_damaged_anywhere_costs_a_record_each(
    tmp_path: Path, picture: Path, fake_artifact: Callable[..., Artifact]
) -> None:
    # The manifests' digests are those of the damaged files: what refuses them is the runtime.
    order, content = random.Random(0), (KEPT / "model.tflite").read_bytes()
    variants = []
    for number, change in enumerate([truncated] * 50 + [flipped] * 10):
        name = f"broken{number}.int8.tflite"
        variants.append((fake_artifact(tmp_path / name, name, change(content, order)), "litert"))
    variants.append((open_artifact(KEPT), "litert"))
    records = measure_latencies(
        variants, threads=1, rounds=1, environment=ENVIRONMENT, picture=picture, watch=Conditions
    )
    assert isinstance(records[-1], LatencyRecord)
    assert len(records) == len(variants)
    assert all(record.reason for record in records if isinstance(record, FailureRecord))
    # All that the file needs but for the zip with its labels, at its very end, is before them.
    assert sum(isinstance(record, FailureRecord) for record in records[:50]) >= 45


def test_a_child_waits_until_its_threads_are_still() -> None:
    # CPU seconds used so far: 5 ms, then 4 ms more (80 % of a pause), then 0.5 ms more (10 %).
    used = iter((0.005, 0.009, 0.0095))
    pauses: list[float] = []
    assert settle(lambda: next(used), pauses.append) == 2
    assert pauses == [SETTLE_SECONDS] * 2


def test_a_child_that_is_never_still_waits_no_longer_than_the_bound() -> None:
    clock = itertools.count(step=SETTLE_SECONDS)
    assert settle(lambda: float(next(clock)), lambda _: None) == SETTLE_PAUSES
