"""Land a run of ``threadlite rewrites``: ``python docs/results/publish_convnext.py RUN``.

Copies its records and its report to ``docs/results/convnext/`` and writes the tables of
``docs/convnext.md`` out of those records.
"""

import shutil
import sys
from pathlib import Path

from bench.record import read_records
from threadlite.rewrites_page import page_lines

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "convnext.md"
RESULTS = REPOSITORY / "docs" / "results" / "convnext"
RECORDS = "measured.jsonl"
BEGIN, END = "<!-- results: docs/results/convnext -->", "<!-- /results -->"


def main(run: Path) -> None:
    """Copy one run's results and bring the page up to date."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    shutil.copy(run / "records.jsonl", RESULTS / RECORDS)
    shutil.copy(run / "report" / "report.md", RESULTS)
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_results(text, RESULTS / RECORDS), encoding="utf-8")
    sys.stdout.write(f"{RESULTS.relative_to(REPOSITORY)} and docs/convnext.md are up to date\n")


def with_results(text: str, records: Path) -> str:
    """Return the page's text with its block written anew out of ``records``."""
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise SystemExit(f"docs/convnext.md has no block {BEGIN} ... {END}")
    lines = page_lines(read_records(records)[0])
    return "\n".join((f"{before}{BEGIN}", *lines, f"{END}{after}"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python docs/results/publish_convnext.py RUN")
    main(Path(sys.argv[1]))
