"""The gate: arithmetic by hand, and what it refuses to compare."""

import math
from typing import Any

import pytest

from bench.gate import Goals, judge, worst
from bench.gate_checks import decide, f1_check, latency_check, more_needed
from tests.bench.gate_records import FLOAT, INT8, failed, judged, machine, timed
from train.errors import DataError, UsageError

F1 = Goals(max_f1_drop=0.01)
SPEED = Goals(max_latency_ratio=0.5)
TRUTHS = "aabbcc" * 2


def test_decide_by_hand() -> None:
    assert decide(0.1, 0.5, 0.5) == "pass"
    assert decide(0.5, 0.6, 0.5) == "undecided"
    assert decide(0.51, 0.6, 0.5) == "fail"


def test_the_worst_counts() -> None:
    assert worst(("pass", "undecided", "fail")) == "fail"
    assert worst(("pass", "undecided")) == "undecided"
    assert worst(("pass",)) == "pass"


def test_what_would_decide_by_hand() -> None:
    # Gap 0.005 to the bound, reach 0.015 beyond it: three times as far, so nine times the photos.
    assert more_needed(0.005, -0.004, 0.02, 0.01, samples=100) == 800
    # Above the bound the lower end counts: gap 0.1, reach 0.2: four times the turns.
    assert more_needed(0.6, 0.4, 0.7, 0.5, samples=30) == 90
    assert more_needed(0.5, 0.4, 0.6, 0.5, samples=30) is None  # on its bound
    assert more_needed(0.6, 0.5, 0.7, 0.5, samples=30) == 1  # 1e-17 short of deciding


@pytest.mark.parametrize(
    ("drop", "ratio"),
    [(None, None), (-0.1, None), (1.5, None), (math.nan, None), (None, 0.0), (None, math.inf)],
)
def test_goals_check_themselves(drop: float | None, ratio: float | None) -> None:
    with pytest.raises(UsageError, match="--max-"):
        Goals(max_f1_drop=drop, max_latency_ratio=ratio)


def test_f1_of_equal_predictions_passes() -> None:
    check = f1_check(judged(TRUTHS, TRUTHS), judged(TRUTHS, TRUTHS, FLOAT), 0.0)
    assert (check.outcome, check.value, check.low, check.high) == ("pass", 0.0, 0.0, 0.0)
    assert check.flips is not None
    assert check.flips.agreement == 1.0


def test_f1_that_is_lost_wholly_fails() -> None:
    # Every photo is taken for the next class, so each resample has an F1 of 0, and the parent 1.
    check = f1_check(judged(TRUTHS, "bbccaa" * 2), judged(TRUTHS, TRUTHS, FLOAT), 0.5)
    assert (check.outcome, check.value, check.low, check.high) == ("fail", 1.0, 1.0, 1.0)


def test_f1_that_straddles_the_bound_says_how_many_photos_would_decide() -> None:
    # Two senders' photos of twelve are lost: resamples lose 0 to 5 or so of them.
    check = f1_check(judged(TRUTHS, "babbcc" + "aabbca"), judged(TRUTHS, TRUTHS, FLOAT), 0.1)
    assert check.outcome == "undecided"
    assert check.value is not None and check.low is not None and check.high is not None
    assert check.low <= 0.1 < check.high
    expected = more_needed(check.value, check.low, check.high, 0.1, samples=12)
    assert check.more == expected
    assert f"about {expected} more photos" in check.sentence


def test_photos_of_few_senders_decide_nothing() -> None:
    # One sender: every resample is the whole set, so the interval has no width and proves nothing.
    one = ("s",) * 12
    check = f1_check(
        judged(TRUTHS, TRUTHS, senders=one), judged(TRUTHS, TRUTHS, FLOAT, senders=one), 0.01
    )
    assert (check.outcome, check.more) == ("undecided", None)
    assert "at least 6 senders" in check.sentence


@pytest.mark.parametrize(("ms", "outcome"), [(5.0, "pass"), (5.1, "fail"), (4.0, "pass")])
def test_equal_times_decide_by_hand(ms: float, outcome: str) -> None:
    check = latency_check(timed([ms] * 10), timed([10.0] * 10, FLOAT), 0.5)
    assert (check.outcome, check.value) == (outcome, pytest.approx(ms / 10))


def test_times_that_straddle_the_bound_say_how_many_rounds_would_decide() -> None:
    # Half the calls take 4 ms, half 5.5 ms, of 10 ms: a resample's median is 4, 4.75 or 5.5.
    check = latency_check(timed([4.0, 5.5] * 10), timed([10.0] * 20, FLOAT), 0.5)
    assert (check.outcome, check.value) == ("undecided", pytest.approx(0.475))
    assert (check.low, check.high) == (pytest.approx(0.4), pytest.approx(0.55))
    assert check.more == 20 * 9 - 20  # gap 0.025, reach 0.075
    assert "about 160 more rounds" in check.sentence


def test_few_turns_decide_nothing() -> None:
    check = latency_check(
        timed([1.0] * 10, calls_per_turn=2), timed([10.0] * 10, FLOAT, calls_per_turn=2), 0.5
    )
    assert check.outcome == "undecided"  # five turns
    assert "at least 6 rounds" in check.sentence


def test_both_goals_the_worst_outcome_counts() -> None:
    records = [
        judged(TRUTHS, TRUTHS, FLOAT), judged(TRUTHS, TRUTHS),
        timed([10.0] * 10, FLOAT), timed([8.0] * 10),
    ]  # fmt: skip
    result = judge(records, Goals(max_f1_drop=0.01, max_latency_ratio=0.5))
    (one,) = result.judgements
    assert (one.variant, one.reference) == (INT8, FLOAT)
    assert [check.outcome for check in one.checks] == ["pass", "fail"]
    assert result.outcome == "fail"
    assert result.left_out == ()  # the float network is the reference, not a variant passed over


def test_each_runtime_that_both_were_judged_under_is_a_check() -> None:
    other = "onnxruntime 1.32.0"
    records = [
        judged(TRUTHS, TRUTHS, FLOAT), judged(TRUTHS, TRUTHS, FLOAT, runtime=other),
        judged(TRUTHS, TRUTHS), judged(TRUTHS, "bbccaa" * 2, runtime=other),
    ]  # fmt: skip
    (one,) = judge(records, F1).judgements
    assert [check.outcome for check in one.checks] == ["pass", "fail"]


def test_each_machine_is_judged_by_itself() -> None:
    phone = {"environment": "p" * 16, "runtime": "litert benchmark_model 0123 on a phone"}
    records = [
        timed([10.0] * 10, FLOAT), timed([4.0] * 10),
        timed([40.0] * 10, FLOAT, **phone), timed([30.0] * 10, **phone),
    ]  # fmt: skip
    (one,) = judge(records, SPEED).judgements
    assert [check.value for check in one.checks] == pytest.approx([0.4, 0.75])
    assert one.outcome == "fail"


def test_the_latest_record_counts() -> None:
    records = [timed([10.0] * 10, FLOAT), timed([9.0] * 10), timed([4.0] * 10)]
    assert judge(records, SPEED).outcome == "pass"


def test_a_float_of_another_network_is_no_reference() -> None:
    records = [timed([10.0] * 10, FLOAT, network_sha256="m" * 64), timed([4.0] * 10)]
    with pytest.raises(DataError, match=r"float parent net\.float\.tflite is not in the records"):
        judge(records, SPEED)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"threads": 1}, "threads is 2 and 1"),
        ({"batch": 4}, "batch is 1 and 4"),
        ({"runtime": "litert 2.2.0"}, r"runtime is litert 2\.3\.0 and litert 2\.2\.0"),
        ({"environment": "f" * 16}, "host is not the same"),
    ],
)
def test_times_under_other_conditions_are_refused(change: dict[str, Any], words: str) -> None:
    records = [timed([10.0] * 10, FLOAT, **change), timed([4.0] * 10)]
    with pytest.raises(DataError, match=words):
        judge(records, SPEED)


def test_one_host_with_other_packages_is_one_host() -> None:
    old = [machine("f" * 16, packages={"numpy": "1.0"})]
    old += [timed([10.0] * 10, environment="f" * 16)]
    new = [machine(), timed([4.0] * 10)]
    (one,) = judge(new, SPEED, baseline=old).judgements
    assert one.outcome == "pass"
    assert one.doubts == ("the times are of two runs: what changed between them is in no interval",)
    old[0] = machine("f" * 16, cpu="Another CPU")
    with pytest.raises(DataError, match="host is not the same"):
        judge(new, SPEED, baseline=old)


def test_a_baseline_holds_each_against_its_namesake() -> None:
    old = [
        judged(TRUTHS, TRUTHS, FLOAT, network_sha256="m" * 64),
        judged(TRUTHS, TRUTHS, "x.int8.onnx"),
    ]
    new = [judged(TRUTHS, TRUTHS, FLOAT, runtime="litert 2.4.0"), judged(TRUTHS, TRUTHS)]
    result = judge(new, F1, baseline=old)
    assert [one.variant for one in result.judgements] == [FLOAT]
    assert result.left_out == (
        f"{INT8} (grouped split): the baseline does not have it",
        "x.int8.onnx (grouped split): the baseline has it, the records do not",
    )


def test_doubtful_times_are_said_once() -> None:
    records = [
        timed([10.0] * 10, FLOAT, warnings=("noisy",)),
        timed([4.0] * 10, warnings=("noisy",)),
    ]
    assert judge(records, SPEED).judgements[0].doubts == ("noisy",)


def test_a_variant_that_could_not_be_measured_fails() -> None:
    records = [timed([10.0] * 10, FLOAT), failed()]
    (one,) = judge(records, SPEED).judgements
    assert one.outcome == "fail"
    assert "latency failed: it was killed by SIGSEGV" in one.checks[0].sentence


@pytest.mark.parametrize(
    ("records", "variant", "words"),
    [
        ([], "", "no variant can be judged"),
        ([timed([1.0] * 9, FLOAT)], "", "--baseline"),
        ([timed([1.0] * 9, FLOAT)], "net.int8.onnx", "not in the records; there are: net.float"),
        ([timed([1.0] * 9, "odd")], "", "must read network"),
        ([timed([1.0] * 9, FLOAT), judged("ab", "ab")], "", "no times of it"),
    ],
    ids=["empty", "float alone", "unknown", "odd name", "untimed"],
)
def test_what_cannot_be_judged_is_said(records: Any, variant: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        judge(records, SPEED, variant=variant)


def test_predictions_under_no_common_runtime_are_refused() -> None:
    records = [judged("ab", "ab", FLOAT, runtime="onnxruntime 1"), judged("ab", "ab")]
    with pytest.raises(DataError, match="under one runtime"):
        judge(records, F1)
