"""One file over HTTP, onto disk, through bad connections.

What arrived is kept in the part file, also across runs, and a later attempt asks only for the
rest, if the server says that the file is still the same. A connection that goes quiet, ends
early or brings next to nothing is dropped and tried again.
Source: RFC 9110, sections 13.1.5 (If-Range), 14.2 (Range) and 15.5.17 (416).
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.errors import ArtifactError, DataError
from train.storage import write_text

Received = Callable[[int, int | None], None]  # bytes so far, bytes in all where known
_CHUNK_BYTES = 1 << 18
_RETRIED_STATUSES = (408, 425, 429)
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


@dataclass(frozen=True, kw_only=True)
class FetchConfig:
    """How patient to be.

    Attributes:
        connect_seconds: longest wait for a connection.
        stall_seconds: longest silence, and the span over which the least rate is asked.
        least_bytes_per_second: a slower connection counts as stalled.
        attempts: fruitless attempts in a row; one that brought as much as the least rate brings
            in ``stall_seconds`` begins the count again.
        pause_seconds: wait before the second attempt; doubles each time.
    """

    connect_seconds: float = 10.0
    stall_seconds: float = 30.0
    least_bytes_per_second: float = 512.0
    attempts: int = 5
    pause_seconds: float = 1.0


class _BrokenTransferError(Exception):
    """An attempt that may be repeated."""


@dataclass(frozen=True, kw_only=True)
class _Transfer:
    url: str
    part: Path
    config: FetchConfig
    require_room: Callable[[int | None], None]
    received: Received | None
    clock: Callable[[], float]


def fetch(
    url: str,
    part: Path,
    *,
    require_room: Callable[[int | None], None],
    config: FetchConfig,
    received: Received | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Bring ``url`` to ``part``, going on from what lies there already.

    Args:
        url: what to bring.
        part: where to; its name plus ``.validator`` holds the server's version of the file.
        require_room: called with the bytes still to come (``None`` where the server does not
            say) before any is written; raises if there is no room for them.
        config: timeouts and attempts.
        received: told of progress.
        clock: seconds, monotonic.
        sleep: waits between attempts.

    Raises:
        DataError: the server refuses, or every attempt failed.
        ArtifactError: the disk refuses.
    """
    transfer = _Transfer(
        url=url,
        part=part,
        config=config,
        require_room=require_room,
        received=received,
        clock=clock,
    )
    most, fruitless = _size(part), 0
    while True:
        try:
            return _attempt(transfer)
        except _BrokenTransferError as error:
            gained = _size(part) - most
            fruitful = gained >= config.least_bytes_per_second * config.stall_seconds
            fruitless = 0 if fruitful else fruitless + 1
            most = max(most, _size(part))
            if fruitless >= config.attempts:
                raise DataError(f"{url} cannot be had: {error}") from error
            sleep(config.pause_seconds * 2**fruitless)


def forget(part: Path) -> None:
    """Remove a part file and what is known of it."""
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)


def _attempt(transfer: _Transfer) -> None:
    import requests
    import urllib3

    part, config = transfer.part, transfer.config
    begun = _size(part)
    try:
        with requests.get(
            transfer.url,
            headers=_headers(part, begun),
            stream=True,
            timeout=(config.connect_seconds, config.stall_seconds),
        ) as response:
            if response.status_code == 416 and _is_complete(response, begun):
                return
            begun = _start_of(response, transfer, begun)
            total = _total(response, begun)
            transfer.require_room(None if total is None else total - begun)
            _remember_validator(part, response)
            _write_body(response, transfer, begun, total)
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise DataError(f"{transfer.url!r} is no web address: {error}") from error
    except requests.exceptions.MissingSchema as error:
        raise DataError(f"{transfer.url!r} is no web address: it lacks https://") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _BrokenTransferError(_plain(error)) from error
    size = _size(part)
    if total is not None and size != total:
        raise _BrokenTransferError(f"it ended after {size:,} of {total:,} bytes")


def _headers(part: Path, begun: int) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity", "User-Agent": "threadlite"}
    if begun:
        headers["Range"] = f"bytes={begun}-"
        validator = _validator_file(part)
        if validator.is_file():
            headers["If-Range"] = validator.read_text(encoding="utf-8")
    return headers


def _start_of(response: Any, transfer: _Transfer, begun: int) -> int:
    """Return the offset of the body's first byte, having checked that it can be used."""
    status = int(response.status_code)
    if status == 200:
        return 0
    if status == 206:
        found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
        known = _validator_file(transfer.part)
        same = not known.is_file() or known.read_text(encoding="utf-8") == _validator(response)
        if found and found[1] == str(begun) and same:
            return begun
        forget(transfer.part)
        raise _BrokenTransferError("the server sent another part than the one asked for")
    if status == 416:
        forget(transfer.part)
        raise _BrokenTransferError("the server's file is shorter than what was had of it")
    if status >= 500 or status in _RETRIED_STATUSES:
        raise _BrokenTransferError(f"the server answered {status}")
    raise DataError(f"{transfer.url} cannot be had: the server answered {status}")


def _total(response: Any, begun: int) -> int | None:
    found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if found and found[2].isdecimal():
        return int(found[2])
    length = response.headers.get("Content-Length", "")
    if not length.isdecimal() or response.headers.get("Content-Encoding"):
        return None
    return begun + int(length)


def _is_complete(response: Any, begun: int) -> bool:
    found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    return bool(found) and found[2] == str(begun)  # type: ignore[index]


def _write_body(response: Any, transfer: _Transfer, begun: int, total: int | None) -> None:
    size, config = begun, transfer.config
    window_start, window_bytes = transfer.clock(), 0
    try:
        stream = transfer.part.open("ab" if begun else "wb")
    except OSError as error:
        raise _disk_error(transfer.part, error) from error
    with stream:
        while data := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            try:
                stream.write(data)
                stream.flush()
            except OSError as error:
                raise _disk_error(transfer.part, error) from error
            size += len(data)
            window_bytes += len(data)
            if transfer.received is not None:
                transfer.received(size, total)
            passed = transfer.clock() - window_start
            if passed >= config.stall_seconds:
                if window_bytes < config.least_bytes_per_second * passed:
                    raise _BrokenTransferError(
                        f"it stalled: {window_bytes} bytes in {passed:.0f} s"
                    )
                window_start, window_bytes = transfer.clock(), 0


def _validator(response: Any) -> str:
    etag: str = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):  # a weak one does not promise the same bytes
        return etag
    return str(response.headers.get("Last-Modified", ""))


def _remember_validator(part: Path, response: Any) -> None:
    validator = _validator(response)
    if validator:
        write_text(_validator_file(part), validator)
    elif response.status_code == 200:
        _validator_file(part).unlink(missing_ok=True)


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".validator")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _plain(error: Exception) -> str:
    text = str(error)
    if "timed out" in text.lower():
        return "the connection went quiet"
    if "IncompleteRead" in text or "broken" in text.lower():
        return "the connection broke off"
    return "no connection" if "Connection" in type(error).__name__ else type(error).__name__


def _disk_error(part: Path, error: OSError) -> ArtifactError:
    return ArtifactError(
        f"{part} cannot be written: {error.strerror or error}; what arrived is kept there"
    )
