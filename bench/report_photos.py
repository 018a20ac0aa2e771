"""Which photos judge a network: only what was judged on the same ones is ever compared.

A network of ten classes has an easier task than one of seventeen, and other photos are another
task; each set of classes, photos and test photos has pictures, tables and choices of its own.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from bench.record import AccuracyRecord, MeasurementRecord, Record, TrainingRecord, of_kind

_Network = tuple[str, str]  # split, digest of the trained network
_Judges = frozenset[tuple[str, int]]  # test photos, each with its class


@dataclass(frozen=True, kw_only=True)
class Photos:
    """What networks were trained and judged on.

    Attributes:
        key: short digest of all of it.
        labels: the classes told apart, in order.
        dataset: its name; empty where no training tells it.
        fingerprint: of the photos; empty likewise.
        test_photos: how many judge; 0 where none did.
    """

    key: str
    split_method: str
    labels: tuple[str, ...]
    dataset: str
    fingerprint: str
    test_photos: int

    @property
    def task(self) -> tuple[tuple[str, ...], str]:
        """The classes and photos, however they are divided."""
        return self.labels, self.fingerprint


class PhotoSets:
    """The photos that the records speak of, each set once."""

    def __init__(self, records: Sequence[Record]) -> None:
        trainings = of_kind(records, TrainingRecord)
        judged = [one for one in of_kind(records, AccuracyRecord) if one.side == "test"]
        self._trained = {_network(one): one for one in trainings}
        self._judges: dict[tuple[str, ...], AccuracyRecord] = {}
        for record in judged:
            self._judges.setdefault(_network(record), record)
            self._judges[_subject(record)] = record
        self._labels = {_network(one): one.labels for one in of_kind(records, AccuracyRecord)}
        self._datasets: dict[object, tuple[str, str]] = {}
        for record in judged:  # a network whose training is not told has that of the same photos
            trained = self._trained.get(_network(record))
            if trained and trained.labels == record.labels:
                key = record.labels, _judges(record)
                self._datasets[key] = trained.dataset, trained.dataset_fingerprint
        self._sets: dict[object, Photos] = {}
        self._found: dict[tuple[str, ...], Photos | None] = {}

    def of(self, record: MeasurementRecord) -> Photos | None:
        """Return the photos of a record's variant; ``None`` where no record tells them."""
        subject = _subject(record)
        if subject not in self._found:
            self._found[subject] = self._photos(record)
        return self._found[subject]

    def task_of(self, key: str) -> tuple[tuple[str, ...], str]:
        """Return the classes and photos of a set, empty for the key of none."""
        one = self.named(key)
        return one.task if one else ((), "")

    def task_name(self, key: str) -> str:
        """Return the classes in words, with the photos where others have as many classes."""
        one = self.named(key)
        if one is None:
            return ""
        classes = len(one.labels)
        name = f"{classes} class{'' if classes == 1 else 'es'}"
        tasks = {other.task for other in self._sets.values() if len(other.labels) == classes}
        if len(tasks) > 1:
            which = f"{one.dataset} {one.fingerprint[:8]}" if one.fingerprint else one.key
            name += f" of {which}"
        return name

    def name(self, key: str) -> str:
        """Return ``task_name``, with the key where other test photos judge the same task."""
        one = self.named(key)
        if one is None:
            return ""
        rivals = [
            other
            for other in self._sets.values()
            if (other.split_method, other.task) == (one.split_method, one.task)
        ]
        more = (
            f", test photos {key}" if sum(bool(other.test_photos) for other in rivals) > 1 else ""
        )
        return f"{self.task_name(key)}{more}"

    def named(self, key: str) -> Photos | None:
        """Return the set of a key; ``None`` where there is none."""
        return next((one for one in self._sets.values() if one.key == key), None)

    @property
    def sets(self) -> tuple[Photos, ...]:
        """All sets that were asked for, in that order."""
        return tuple(self._sets.values())

    def _photos(self, record: MeasurementRecord) -> Photos | None:
        network = _network(record)
        trained = self._trained.get(network)
        judge = self._judges.get(_subject(record)) or self._judges.get(network)
        labels = judge.labels if judge else self._labels.get(network, ())
        labels = labels or (trained.labels if trained else ())
        if not labels:
            return None
        judges: _Judges = _judges(judge) if judge else frozenset()
        dataset, fingerprint = self._datasets.get((labels, judges), ("", ""))
        if trained and trained.labels == labels:
            dataset, fingerprint = trained.dataset, trained.dataset_fingerprint
        identity = (record.split_method, labels, fingerprint, judges)
        if identity not in self._sets:
            text = repr((record.split_method, labels, fingerprint, sorted(judges)))
            self._sets[identity] = Photos(
                key=hashlib.sha256(text.encode()).hexdigest()[:8],
                split_method=record.split_method,
                labels=labels,
                dataset=dataset,
                fingerprint=fingerprint,
                test_photos=len(judges),
            )
        return self._sets[identity]


def _network(record: MeasurementRecord) -> _Network:
    return record.split_method, record.network_sha256


def _subject(record: MeasurementRecord) -> tuple[str, str, str]:
    return record.split_method, record.variant, record.variant_sha256


def _judges(record: AccuracyRecord) -> _Judges:
    return frozenset(zip(record.photo_ids, record.truths, strict=True))
