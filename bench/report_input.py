"""Records as a report takes them: what cannot be used is passed over and said, never guessed at."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bench.record import Record
from train.errors import DataError

SCHEMA_VERSION = 1  # of the records that this version writes
SHOWN = 5  # lines named of each fault


def read_for_report(paths: Sequence[Path]) -> tuple[list[Record], list[str]]:
    """Return the records of JSON-lines files, each once, and warnings on what was passed over.

    Passed over are a last line without its newline, which is what a killed run leaves, records of
    other schema versions and kinds, and records that break their own rules, such as a time that is
    not a finite number.

    Raises:
        DataError: a file cannot be read, or a whole line of it is no JSON object.
    """
    found: dict[str, Record] = {}
    warnings: list[str] = []
    for path, name in zip(paths, plain_names(paths), strict=True):
        records, doubts = _read(path, name)
        found |= records
        warnings += doubts
    return list(found.values()), warnings


def plain_names(paths: Sequence[Path]) -> list[str]:
    """Return the files' names, with the folders that tell files of one name apart."""
    depths = range(1, max((len(path.parts) for path in paths), default=1) + 1)
    for depth in depths:
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            return names
    return [path.name for path in paths]


def _read(path: Path, name: str) -> tuple[dict[str, Record], list[str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no readable records: {error}") from error
    adapter: TypeAdapter[Record] = TypeAdapter(Record)
    records: dict[str, Record] = {}
    faults: dict[str, list[int]] = {}
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)  # JSON leaves other line separators raw
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            faults.setdefault("cut off (a killed run)", []).append(number)
            continue
        try:
            records.setdefault(line, adapter.validate_json(line))
        except ValidationError as error:
            faults.setdefault(_fault(line, error, f"{path}: line {number}"), []).append(number)
    warnings = [_warning(name, fault, numbers) for fault, numbers in faults.items()]
    if not lines:
        warnings.append(f"{name} is empty")
    return records, warnings


def _fault(line: str, error: ValidationError, where: str) -> str:
    """Return what is wrong with a line, the version before anything that follows from it."""
    try:
        content = json.loads(line)
    except ValueError:
        raise DataError(f"{where} is not JSON: {error.errors()[0]['msg']}") from error
    if not isinstance(content, dict):
        raise DataError(f"{where} is not a JSON object, so it is no record") from error
    version = content.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        return f"of schema version {version!r}, where {SCHEMA_VERSION} is known"
    first = error.errors()[0]
    if first["type"].startswith("union_tag"):
        return f"of kind {content.get('kind')!r}, which is not known"
    place = ".".join(str(part) for part in first["loc"])
    return f"no usable record ({place}: {first['msg']})"


def _warning(name: str, fault: str, numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:SHOWN])
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    plural = "s" if len(numbers) > 1 else ""
    return f"{name}: line{plural} {shown}{more}: {fault}; passed over"
