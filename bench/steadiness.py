"""When are times steady, how sure is their median, and what to say where they are not.

Pure arithmetic over samples, apart from ``read_conditions``.
Source: Georges, Buytaert & Eeckhout 2007, "Statistically rigorous Java performance evaluation"
(steady state before timing); David & Nagaraja 2003, "Order statistics", section 7.1 (the interval
of a median).
"""

import contextlib
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_WATCH_SECONDS = 0.5
MAX_HALF_WIDTH = 0.03  # of the median: half its interval
MAX_DRIFT = 0.05  # of the median: second half of the turns against the first
MIN_GAP = 0.08  # between the slowest quick turn and the quickest slow one of two states
MIN_STATE = 0.15  # of the turns in each of two states
MAX_BUSY = 0.10  # of all cores, while nothing of ours runs


@dataclass(frozen=True, kw_only=True)
class WarmupRule:
    """When a variant is warm.

    It is warm when the medians of two successive windows of calls differ by at most
    ``tolerance``; after ``max_calls``, or ``max_seconds`` spent in calls, it is timed all the
    same and the record warns.

    Attributes:
        window: calls in a window.
        tolerance: relative difference of two medians that counts as none.
        max_calls: calls after which waiting ends.
        max_seconds: time in calls after which waiting ends.
    """

    window: int = 10
    tolerance: float = 0.02
    max_calls: int = 200
    max_seconds: float = 10.0

    def exhausted(self, latencies_ms: Sequence[float]) -> bool:
        """Return whether no further call may be spent on warming up."""
        return len(latencies_ms) >= self.max_calls or sum(latencies_ms) >= self.max_seconds * 1e3


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the machine did while none of our models ran.

    Attributes:
        busy_share: of all cores' time, spent on other programs, in [0, 1].
        stolen_share: of all cores' time, kept by the host of a virtual machine, in [0, 1].
        governor: how Linux sets the clock rate; empty where it does not say.
        on_battery: the machine runs on its battery.
    """

    busy_share: float = 0.0
    stolen_share: float = 0.0
    governor: str = ""
    on_battery: bool = False


def is_steady(latencies_ms: Sequence[float], rule: WarmupRule) -> bool:
    """Return whether the last two windows of calls have the same median within the tolerance."""
    if len(latencies_ms) < 2 * rule.window:
        return False
    last = statistics.median(latencies_ms[-rule.window :])
    before = statistics.median(latencies_ms[-2 * rule.window : -rule.window])
    return abs(last - before) <= rule.tolerance * before


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median of independent values, by order statistics.

    No distribution is assumed. Under six values no such interval exists: least and greatest.
    """
    ordered = sorted(values)
    count = len(ordered)
    cut, tail = 0, 2.0**-count
    while cut < count // 2 and tail <= 0.025:  # tail = P(at most ``cut`` values below the median)
        cut += 1
        tail += math.comb(count, cut) * 2.0**-count
    lowest = max(cut - 1, 0)
    return ordered[lowest], ordered[count - 1 - lowest]


def half_width(turns: Sequence[Sequence[float]]) -> float:
    """Return half the median's 95 % interval as a share of the median.

    Calls of one turn resemble one another, so the turns' medians are the independent values.
    """
    medians = [statistics.median(turn) for turn in turns]
    low, high = median_interval(medians)
    return (high - low) / 2 / statistics.median(medians)


def drift(turns: Sequence[Sequence[float]]) -> float:
    """Return by what share the second half of the turns is slower than the first; 0 for one."""
    medians = [statistics.median(turn) for turn in turns]
    middle = len(medians) // 2
    if middle == 0:
        return 0.0
    return statistics.median(medians[-middle:]) / statistics.median(medians[:middle]) - 1.0


def two_states(turns: Sequence[Sequence[float]]) -> tuple[float, float, float] | None:
    """Return the two times that the turns come in, and the share of the slower one, if they do.

    The turns' medians, in order, have two states where a gap of ``MIN_GAP`` parts them and at least
    ``MIN_STATE`` of them lie on either side.

    Returns:
        Median of the quick turns, median of the slow ones, share of the slow ones in (0, 1).
    """
    ordered = sorted(statistics.median(turn) for turn in turns)
    least = max(2, math.ceil(MIN_STATE * len(ordered)))
    places = range(least, len(ordered) - least + 1)
    if not places:
        return None
    cut = max(places, key=lambda place: ordered[place] / ordered[place - 1])
    if ordered[cut] / ordered[cut - 1] - 1.0 < MIN_GAP:
        return None
    quick, slow = ordered[:cut], ordered[cut:]
    return statistics.median(quick), statistics.median(slow), len(slow) / len(ordered)


def sample_warnings(
    warmup_ms: Sequence[float], turns: Sequence[Sequence[float]], rule: WarmupRule
) -> list[str]:
    """Return what makes one variant's own times doubtful, each with what to do."""
    warnings: list[str] = []
    if not is_steady(warmup_ms, rule):
        warnings.append(
            f"not steady after {len(warmup_ms)} warm-up calls (two windows of {rule.window} never"
            f" agreed within {rule.tolerance:.0%}); close other programs and measure again"
        )
    width, change = half_width(turns), drift(turns)
    if width > MAX_HALF_WIDTH:
        warnings.append(
            f"the median is only known to within {width:.1%} (95 %, {len(turns)} rounds); close"
            " other programs or raise the rounds"
        )
    states = two_states(turns)
    if states is not None:
        quick, slow, share = states
        warnings.append(
            f"calls take now {quick:.2f} ms, now {slow:.2f} ms ({share:.0%} of the turns), as where"
            " the host of a virtual machine moves its cores apart and threads wait longer for"
            " one another; measure again, with one thread or on a machine of your own"
        )
    elif abs(change) > MAX_DRIFT:
        warnings.append(
            f"calls became {abs(change):.0%} {'slower' if change > 0 else 'faster'} from the first"
            " half of the rounds to the second; let the machine cool down and measure again"
        )
    return warnings


def condition_warnings(conditions: Conditions, *, threads: int, cores: int) -> list[str]:
    """Return what makes all times of a run doubtful, each with what to do."""
    warnings: list[str] = []
    if threads > cores:
        warnings.append(f"{threads} threads on {cores} cores wait for one another; use fewer")
    if conditions.busy_share > MAX_BUSY:
        warnings.append(
            f"other programs kept the CPU {conditions.busy_share:.0%} busy; close them and"
            " measure again"
        )
    if conditions.stolen_share > MAX_BUSY / 5:
        warnings.append(
            f"the virtual machine's host kept {conditions.stolen_share:.0%} of the CPU for itself;"
            " measure again at a quieter time or on a machine of your own"
        )
    if conditions.governor in ("powersave", "conservative", "ondemand"):
        warnings.append(
            f"the CPU's clock rate follows the load (governor {conditions.governor}); set it to"
            " performance for the time of the measurement"
        )
    if conditions.on_battery:
        warnings.append("the machine runs on its battery, which slows it down; plug it in")
    return warnings


def read_conditions() -> Conditions:
    """Watch the machine for half a second, in which nothing of ours may run."""
    times = psutil.cpu_times_percent(interval=_WATCH_SECONDS)
    stolen = getattr(times, "steal", 0.0)
    idle = times.idle + getattr(times, "iowait", 0.0)
    battery, governor = None, ""
    with contextlib.suppress(OSError):  # some containers show no battery and no governor
        governor = _GOVERNOR.read_text().strip() if _GOVERNOR.is_file() else ""
        battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return Conditions(
        busy_share=max(0.0, 100.0 - idle - stolen) / 100.0,
        stolen_share=stolen / 100.0,
        governor=governor,
        on_battery=battery is not None and battery.power_plugged is False,
    )


def worse_of(before: Conditions, after: Conditions) -> Conditions:
    """Return the worse of two readings, value by value."""
    return Conditions(
        busy_share=max(before.busy_share, after.busy_share),
        stolen_share=max(before.stolen_share, after.stolen_share),
        governor=after.governor,
        on_battery=before.on_battery or after.on_battery,
    )
