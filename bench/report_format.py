"""How a report writes its numbers: one function a quantity, ``n/a`` for what is not there."""

from collections.abc import Sequence

from bench.report_tables import VariantRow
from bench.scores import Difference, Scores

ABSENT = "n/a"
MARKDOWN_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "\\\\", "|": "\\|", "`": "\\`", "*": "\\*"}
)
MINUS = "−"  # noqa: RUF001 - a real minus sign, as wide as the plus it stands under


def as_f1(score: Scores | None) -> str:
    """Return ``0.876 [0.854, 0.901]``."""
    if score is None:
        return ABSENT
    return f"{score.weighted_f1:.3f} [{score.low:.3f}, {score.high:.3f}]"


def as_share(value: float | None) -> str:
    """Return a share in [0, 1] with three decimals."""
    return ABSENT if value is None else f"{value:.3f}"


def as_spread(mean: float | None, deviation: float | None) -> str:
    """Return a mean with its standard deviation: ``0.876 ± 0.009``."""
    if mean is None or deviation is None:
        return ABSENT
    return f"{mean:.3f} ± {deviation:.3f}"


def as_points(score: Difference | None) -> str:
    """Return a difference in points of F1 (hundredths): ``+0.2 [-0.5, +0.9]``."""
    if score is None:
        return ABSENT
    value, low, high = (as_signed(100 * part) for part in (score.value, score.low, score.high))
    return f"{value} [{low}, {high}]"


def as_ms(value: float | None) -> str:
    """Return milliseconds with three significant digits, and never an exponent."""
    if value is None:
        return ABSENT
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f}"


def as_factor(value: float | None) -> str:
    """Return ``2.31x``."""
    return ABSENT if value is None else f"{value:.2f}×"  # noqa: RUF001 - the times sign


def as_megabytes(value: int | None) -> str:
    """Return bytes as megabytes (10^6 bytes) with two decimals."""
    return ABSENT if value is None else f"{value / 1e6:.2f}"


def as_count(value: int | None) -> str:
    """Return a whole number with thousands parted by commas."""
    return ABSENT if value is None else f"{value:,}"


def as_whole(value: float | None) -> str:
    """Return a number without decimals, thousands parted by commas."""
    return ABSENT if value is None else f"{value:,.0f}"


def as_millions(value: int | None) -> str:
    """Return a count in millions, with two decimals."""
    return ABSENT if value is None else f"{value / 1e6:,.2f}"


def as_row(row: VariantRow) -> str:
    """Return the variant and what runs it, as a sentence names them."""
    return f"{row.variant} on {row.runtime}" if row.runtime else row.variant


def listed(names: Sequence[str], shown: int) -> str:
    """Return the first names, and how many more there are: ``a, b and 3 more``."""
    more = len(names) - shown
    parts = [*names[:shown], *([f"{more} more"] if more > 0 else [])]
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def as_signed(value: float) -> str:
    """Return a number with its sign and one decimal; zero has none."""
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def as_markdown(value: object) -> str:
    """Return ``value`` as plain text in a Markdown paragraph or table cell, on one line."""
    text = " ".join(str(value).split())
    return text.translate(MARKDOWN_ESCAPES).replace("](", "]\\(")
