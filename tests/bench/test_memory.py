"""Memory: the kernel's own words, and what this process takes."""

import subprocess
import sys

import pytest

from bench.memory import parse_peak, peak_resident_bytes, resident_bytes


def test_the_peak_is_told_in_kibibytes() -> None:
    assert parse_peak("Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t 1024 kB\n") == 2048 * 1024
    assert parse_peak("Name:\tx\n") is None


def test_the_peak_stays_where_memory_was_given_back() -> None:
    code = (
        "from bench.memory import peak_resident_bytes, resident_bytes\n"
        "before = resident_bytes(); held = bytearray(b'x' * 50_000_000); del held\n"
        "print(peak_resident_bytes() - before, resident_bytes() - before)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    peak, left = map(int, told.stdout.split())
    assert left < 20_000_000 < 50_000_000 <= peak


def test_a_new_program_does_not_inherit_the_peak_of_its_parent() -> None:
    held = bytearray(b"x" * 400_000_000)
    code = "from bench.memory import peak_resident_bytes; print(peak_resident_bytes())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mine = peak_resident_bytes()
    if mine is None:
        pytest.skip("this system does not tell the peak")
    assert len(held) < mine
    assert int(told.stdout) < 200_000_000
    assert resident_bytes() <= mine
