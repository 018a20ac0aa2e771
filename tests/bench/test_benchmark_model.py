"""What ``benchmark_model`` prints, in the format of its README, read by hand."""

import pytest

from bench.benchmark_model import (
    OperatorTime,
    parse_profile,
    parse_turn,
    profile_words,
    turn_words,
)
from tests.bench.fake_adb import INSIDE, OWN, PREPARED, PROFILE, table, timings
from train.errors import RuntimeFailure

# From the tool's README: the older table has a column more, and calls nothing more than 0 times.
README = """
============================== Run Order ==============================
\t             [node type]\t  [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\
\t[times called]\t[Name]
\t                 CONV_2D\t    0.000\t    4.269\t    4.269\t  0.107%\t  0.107%\t     0.000\
\t        0\t[MobilenetV1/MobilenetV1/Conv2d_0/Relu6]
\t       DEPTHWISE_CONV_2D\t    4.270\t    2.150\t    2.150\t  0.054%\t  0.161%\t     0.000\
\t        0\t[MobilenetV1/MobilenetV1/Conv2d_1_depthwise/Relu6]

============================== Top by Computation Time ==============================
"""


def test_two_timed_calls_are_both_known() -> None:
    turn = parse_turn(timings(5100, 4900, warmup=98, load_ms=17.851))
    assert turn.latencies_ms == (5.1, 4.9)
    assert (turn.warmup_runs, turn.load_ms) == (98, 17.851)


def test_equal_calls_are_printed_once() -> None:
    assert "curr=5000 (all same)" in timings(5000, 5000)
    assert parse_turn(timings(5000, 5000)).latencies_ms == (5.0, 5.0)
    assert parse_turn(timings(5000), calls=1).latencies_ms == (5.0,)


def test_lines_may_name_their_severity() -> None:
    output = timings(5100, 4900).replace("\ncount=", "\nINFO: count=")
    assert parse_turn(output).latencies_ms == (5.1, 4.9)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("", "printed no times, its last words: 'nothing'"),
        ("ERROR: Failed to load model 0.tflite\nBenchmarking failed.\n", "Benchmarking failed"),
        (timings(1, 2, 3), "timed 3 calls where 2"),
    ],
)
def test_output_without_the_times_is_refused(output: str, words: str) -> None:
    with pytest.raises(RuntimeFailure, match=words):
        parse_turn(output)


def test_the_table_of_the_readme() -> None:
    profile = parse_profile(README)
    assert profile.partitions == 0
    assert profile.operators[1] == OperatorTime(
        name="[MobilenetV1/MobilenetV1/Conv2d_1_depthwise/Relu6]",
        kind="DEPTHWISE_CONV_2D",
        total_ms=2.15,
        in_xnnpack=False,
    )
    assert len(profile.operators) == 2


def test_xnnpacks_operators_stand_in_place_of_the_delegate() -> None:
    profile = parse_profile(PROFILE)
    assert profile.partitions == 1
    assert [(one.kind, one.total_ms, one.in_xnnpack) for one in profile.operators] == [
        ("QUANTIZE", 0.5, False),
        ("Convolution (NHWC, QC8) IGEMM", 3.0, True),
        ("Softmax (NC, F32)", 0.75, True),
        ("DEQUANTIZE", 0.25, False),
    ]


def test_a_build_that_does_not_look_into_xnnpack() -> None:
    kinds = [(one.kind, one.in_xnnpack) for one in parse_profile(OWN).operators]
    assert kinds == [("QUANTIZE", False), ("TfLiteXNNPackDelegate", True), ("DEQUANTIZE", False)]


def test_bodies_of_control_flow_are_not_counted_twice() -> None:
    head = "Operator-wise Profiling Info for Regular Benchmark Runs:\nPrimary graph (name: main)"
    body = table([("ADD", 9.0, "[x]:0")])
    output = (
        f"{PREPARED}{head} profile:\n{OWN}Subgraph (index: 1, name: body) profile:\n{body}{INSIDE}"
    )
    assert "ADD" not in [one.kind for one in parse_profile(output).operators]
    assert len(parse_profile(output).operators) == 4


def test_an_operator_called_often_takes_all_its_calls() -> None:
    thrice = table([("CONV_2D", 2.0, "[a]:0")]).replace("\t        1\t", "\t        3\t")
    assert parse_profile(thrice).operators[0].total_ms == 6.0


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (timings(1, 2), "no table of operators"),
        (README.replace("[avg ms]", "[mean]"), r"no column \[avg ms\]"),
        (README.replace("4.269", "fast"), "'fast' where a number belongs"),
    ],
)
def test_a_profile_in_another_format_is_refused(output: str, words: str) -> None:
    with pytest.raises(RuntimeFailure, match=words):
        parse_profile(output)


def test_the_words_are_flags_that_the_readme_documents() -> None:
    assert turn_words("/t", "/m", threads=4) == [
        "/t", "--graph=/m", "--num_threads=4", "--use_xnnpack=true", "--warmup_runs=10",
        "--warmup_min_secs=0.5", "--num_runs=2", "--min_secs=0",
    ]  # fmt: skip
    assert profile_words("/t", "/m", threads=4)[-3:] == [
        "--num_runs=1", "--min_secs=0", "--enable_op_profiling=true",
    ]  # fmt: skip
