"""An Android phone behind ``adb``: files to it, commands on it, and what phone it is.

No serial number, account or path of the phone is kept: records can be published.
"""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

from bench.environment import parse_cpuinfo
from bench.record import EnvironmentRecord
from train.errors import RuntimeFailure, UsageError
from train.storage import digest_of

ANSWER_SECONDS = 300.0  # a command silent for so long hangs
_STATUS = "threadlite-status="  # old phones do not hand the exit status of a command back
_MEMORY_STEP = 256 * 2**20  # what a kernel keeps for itself varies from boot to boot


def parse_target(target: str) -> str:
    """Return the serial number in ``adb`` (none: the only phone) or ``adb:SERIAL``.

    Raises:
        UsageError: the target is of another form.
    """
    word, colon, serial = target.partition(":")
    if word != "adb" or bool(colon) != bool(serial):
        raise UsageError(f"--device {target!r} must read adb or adb:SERIAL (see adb devices)")
    return serial


class Adb:
    """One attached phone."""

    def __init__(self, serial: str = "", *, answer_seconds: float = ANSWER_SECONDS) -> None:
        """Choose the phone.

        Args:
            serial: which one; empty: the only one attached.
            answer_seconds: a command silent for so long is given up.

        Raises:
            RuntimeFailure: ``adb`` is not there, or not exactly one phone is meant and ready.
        """
        program = shutil.which("adb")
        if program is None:
            raise RuntimeFailure(
                "adb is not on the PATH; install Android's platform-tools and attach a phone"
            )
        self._program = program
        self._answer_seconds = answer_seconds
        self._serial = _choose(self._run(["devices"]), serial)

    def push(self, local: Path, remote: str) -> None:
        """Copy a file to the phone.

        Raises:
            RuntimeFailure: it cannot be copied.
        """
        self._run(["-s", self._serial, "push", str(local), remote])

    def shell(self, *words: str) -> str:
        """Run a command on the phone and return what it prints, complaints too.

        Raises:
            RuntimeFailure: the command fails, hangs, or the phone is gone.
        """
        status, output = self.attempt(*words)
        if status != 0:
            last = (output.strip().splitlines() or ["it printed nothing"])[-1]
            raise RuntimeFailure(f"{words[0]} on the phone ended with code {status}: {last}")
        return output

    def attempt(self, *words: str) -> tuple[int, str]:
        """Run a command on the phone and return its exit status and what it prints.

        Raises:
            RuntimeFailure: it hangs, or the phone is gone.
        """
        command = f"{shlex.join(words)} 2>&1; echo {_STATUS}$?"
        printed = self._run(["-s", self._serial, "shell", command])
        output, mark, status = printed.rpartition(_STATUS)
        if not mark or not status.strip().isdecimal():
            raise RuntimeFailure(f"{words[0]}: the phone went away; attach it and run again")
        return int(status), output

    def _run(self, words: list[str]) -> str:
        """Run ``adb`` itself and return its standard output."""
        try:
            done = subprocess.run(
                [self._program, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._answer_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeFailure(
                f"adb gave no answer within {self._answer_seconds:g} s; unlock the phone, attach it"
                " again and run again"
            ) from error
        except OSError as error:
            raise RuntimeFailure(f"adb cannot be started: {error.strerror or error}") from error
        output = done.stdout.decode(errors="replace").replace("\r\n", "\n")
        if done.returncode != 0 and _STATUS not in output:
            words = (done.stderr.decode(errors="replace") or output).strip().splitlines()
            raise RuntimeFailure(f"adb: {words[-1] if words else 'failed without a word'}")
        return output


def describe_phone(adb: Adb, tool_sha256: str) -> EnvironmentRecord:
    """Return the record of the phone: its model, processor, system and the tool that times on it.

    Args:
        adb: the phone.
        tool_sha256: digest of ``benchmark_model``, which does not tell its version.

    Raises:
        RuntimeFailure: the phone does not answer.
    """
    told = dict(re.findall(r"^\[([^\]]+)\]: \[(.*)\]$", adb.shell("getprop"), re.MULTILINE))
    name, features = parse_cpuinfo(adb.shell("cat", "/proc/cpuinfo"))
    memory = re.search(r"MemTotal:\s+(\d+) kB", adb.shell("cat", "/proc/meminfo"))
    cores = adb.shell("nproc").strip()
    kernel = adb.shell("uname", "-r", "-m").strip()
    maker = " ".join(
        filter(None, (told.get(f"ro.product.{word}") for word in ("manufacturer", "model")))
    )
    chip = told.get("ro.soc.model") or told.get("ro.board.platform") or name or "unknown processor"
    total = int(memory[1]) * 1024 if memory else 0
    fields = {
        "cpu": f"{maker or 'Android phone'} ({chip}, {told.get('ro.product.cpu.abi', '?')})",
        "cores": int(cores) if cores.isdecimal() else 1,
        "memory_bytes": round(total / _MEMORY_STEP) * _MEMORY_STEP,
        "cpu_features": list(features),
        "system": f"Android {told.get('ro.build.version.release', '?')} Linux {kernel}",
        "python": "none",
        "packages": {"benchmark_model": f"sha256 {tool_sha256[:12]}"},
    }
    return EnvironmentRecord.model_validate({"environment": digest_of(fields)[:16], **fields})


def is_phone(environment: EnvironmentRecord) -> bool:
    """Return whether a record's times are a phone's."""
    return environment.system.startswith("Android ")


def _choose(listing: str, serial: str) -> str:
    """Return the serial number of the phone meant, from the output of ``adb devices``."""
    attached = dict(re.findall(r"^(\S+)\t(.+)$", listing, re.MULTILINE))
    if serial and serial not in attached:
        known = ", ".join(attached) or "none"
        raise RuntimeFailure(f"phone {serial} is not attached; attached: {known}")
    if not serial and len(attached) != 1:
        cure = "name one with --device adb:SERIAL" if attached else "attach one by USB"
        raise RuntimeFailure(f"{len(attached)} phones are attached; {cure}")
    chosen = serial or next(iter(attached))
    if attached[chosen] != "device":
        raise RuntimeFailure(
            f"the phone is {attached[chosen]}; allow USB debugging on its screen and run again"
        )
    return chosen
