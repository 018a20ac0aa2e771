"""A fake ``adb``: plays what a phone and LiteRT's ``benchmark_model`` print, in their formats.

The tool's output follows its README in the LiteRT repository, the phone's its own commands.
"""

import json
import sys
from pathlib import Path

import pytest

PHONE = {
    "getprop": (
        "[ro.product.manufacturer]: [Google]\n[ro.product.model]: [Pixel 8]\n"
        "[ro.product.cpu.abi]: [arm64-v8a]\n[ro.soc.model]: [Tensor G3]\n"
        "[ro.build.version.release]: [14]\n[ro.serialno]: [SECRET]\n"
    ),
    "cat /proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp i8mm\n",
    "cat /proc/meminfo": "MemTotal:        7864320 kB\nMemFree:  1 kB\n",
    "nproc": "9\n",
    "uname -r -m": "5.15.110-android14 aarch64\n",
    "dumpsys thermalservice": "IsStatusOverride: false\nThermal Status: 0\n",
    "settings get global low_power": "0\n",
}
DEVICES = "List of devices attached\nPIXEL\tdevice\n\n"

# Plays: it logs its words, then answers from play.json beside it.
_PROGRAM = """#!{python}
import json, pathlib, re, sys
home = pathlib.Path(__file__).parent
play = json.loads((home / "play.json").read_text())
words = sys.argv[1:]
with (home / "log.txt").open("a") as log:
    log.write(json.dumps(words) + "\\n")
if words == ["devices"]:
    sys.stdout.write(play["devices"])
    sys.exit(0)
assert words[:2] == ["-s", "PIXEL"], words
if words[2] == "push":
    if play.get("refuses_push"):
        sys.stderr.write("adb: error: failed to copy: remote couldn't create file\\n")
        sys.exit(1)
    pushed = home / "pushed"
    pushed.mkdir(exist_ok=True)
    (pushed / pathlib.PurePosixPath(words[4]).name).write_bytes(pathlib.Path(words[3]).read_bytes())
    sys.exit(0)
command, mark, tail = words[3].rpartition(" 2>&1; echo threadlite-status=$?")
assert mark and not tail, words
if play.get("unplugged_at") and play["unplugged_at"] in command:
    sys.stderr.write("adb: error: device 'PIXEL' not found\\n")
    sys.exit(1)
status, output = 0, ""
for pattern, (code, answers) in play["answers"].items():
    if re.search(pattern, command):
        turns = home / ("turns-" + re.sub(r"\\W", "_", pattern))
        turn = int(turns.read_text()) if turns.exists() else 0
        turns.write_text(str(turn + 1))
        status, output = code, answers[turn % len(answers)]
        break
sys.stdout.write(output + "threadlite-status=%d\\n" % status)
"""


def timings(*calls_us: int, warmup: int = 10, load_ms: float = 12.5) -> str:
    """Return what the tool prints of one start with these timed calls."""
    first, last = calls_us[0], calls_us[-1]
    mean = sum(calls_us) / len(calls_us)
    if len(set(calls_us)) == 1:
        timed = f"count={len(calls_us)} curr={last}{' (all same)' * (len(calls_us) > 1)}"
    else:
        timed = (
            f"count={len(calls_us)} first={first} curr={last} min={min(calls_us)}"
            f" max={max(calls_us)} avg={mean:g} std=1"
        )
    return (
        "STARTING!\nLog parameter values verbosely: [0]\nNum threads: [2]\n"
        "Loaded model /data/local/tmp/threadlite/0.tflite\n"
        "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
        f"The input model file size (MB): 4.2\nInitialized session in {load_ms:g}ms.\n"
        "Running benchmark for at least 10 iterations and at least 0.5 seconds but terminate if"
        " exceeding 150 seconds.\n"
        f"count={warmup} first=9000 curr=5000 min=4900 max=9000 avg=5300.25 std=99\n\n"
        f"Running benchmark for at least {len(calls_us)} iterations and at least 0 seconds but"
        f" terminate if exceeding 150 seconds.\n{timed}\n\n"
        f"Inference timings in us: Init: 12500, First inference: 9000, Warmup (avg): 5300.25,"
        f" Inference (avg): {mean:g}\n"
    )


def table(rows: list[tuple[str, float, str]], *, start: bool = False) -> str:
    """Return the tables of a profile: kind, ms and name of each operator, in the order run."""
    head = ["", "[node type]", *["[start]"] * start, "[first]", "[avg ms]", "[%]", "[cdf%]"]
    head += ["[mem KB]", "[times called]", "[Name]"]
    lines = ["\t".join(cell.rjust(9) if cell else cell for cell in head)]
    for kind, ms, name in rows:
        cells = ["", kind, *["0.000"] * start, f"{ms:.3f}", f"{ms:.3f}", "1.000%", "1.000%"]
        cells += ["0.000", "0" if start else "1", name]
        lines.append("\t".join(cell.rjust(9) if cell else cell for cell in cells))
    body = "\n".join(lines)
    bars = "=" * 30
    return (
        f"{bars} Run Order {bars}\n{body}\n\n{bars} Top by Computation Time {bars}\n{body}\n\n"
        f"Number of nodes executed: {len(rows)}\n"
        f"{bars} Summary by node type {bars}\n\t[Node type]\t[count]\t[avg ms]\n\n"
        "Timings (microseconds): count=1 curr=5000\nMemory (bytes): count=0\n"
        f"{len(rows)} nodes observed\n\n"
    )


PREPARED = "Profiling Info for Benchmark Initialization:\n" + table(
    [("ModifyGraphWithDelegate", 3.0, "ModifyGraphWithDelegate/0")]
)
OWN = table(
    [
        ("QUANTIZE", 0.5, "[images]:0"),
        ("TfLiteXNNPackDelegate", 4.0, "[probabilities]:9"),
        ("DEQUANTIZE", 0.25, "[out, spare]:8"),
    ]
)
INSIDE = "Delegate internal: \n" + table(
    [
        ("Convolution (NHWC, QC8) IGEMM", 3.0, "Convolution (NHWC, QC8) IGEMM:0"),
        ("Softmax (NC, F32)", 0.75, "Softmax (NC, F32):1"),
    ]
)
PROFILE = (
    f"{timings(5000)}{PREPARED}Operator-wise Profiling Info for Regular Benchmark Runs:\n"
    f"{OWN}{INSIDE}"
)


class FakePhone:
    """The fake on the PATH: what it plays, and what it was asked."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.play: dict[str, object] = {"devices": DEVICES}
        self.answers: dict[str, tuple[int, list[str]]] = {}
        program = home / "adb"
        program.write_text(_PROGRAM.replace("{python}", sys.executable))
        program.chmod(0o755)
        self.save()

    def save(self) -> None:
        """Write what it is to play: ``answers`` before those of an idle phone."""
        idle = {f"^{command}$": (0, [text]) for command, text in PHONE.items()}
        answers = {**self.answers, **idle}
        (self._home / "play.json").write_text(json.dumps({**self.play, "answers": answers}))

    @property
    def log(self) -> list[list[str]]:
        """The words of every call."""
        return [json.loads(line) for line in (self._home / "log.txt").read_text().splitlines()]

    def shell_log(self, part: str) -> list[str]:
        """Return the commands that hold ``part``."""
        return [words[3] for words in self.log if words[2:3] == ["shell"] and part in words[3]]

    def pushed(self, name: str) -> bytes:
        """Return the content of a file on the phone."""
        return (self._home / "pushed" / name).read_bytes()


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePhone:
    """Put the fake on the PATH, alone."""
    home = tmp_path / "phone"
    home.mkdir()
    monkeypatch.setenv("PATH", str(home))
    return FakePhone(home)
