"""Classes that a side of a split has no photo of are named before anything is trained."""

from tests.train.test_splits import made_up_photos
from train.dataset import Dataset, Dirt
from train.split_gaps import split_gaps, untaught_classes
from train.splits import Split, split_photos

PHOTOS = made_up_photos(60)
DATASET = Dataset(
    name="made up",
    photos=tuple(PHOTOS),
    labels=tuple(sorted({photo.label for photo in PHOTOS})),
    fingerprint="f" * 64,
    dirt=Dirt(),
)


def split_of(train: str, validation: str, test: str) -> Split:
    """Return a split of one photo for each initial: ``D`` a dress, and so on."""

    def ids(initials: str) -> tuple[str, ...]:
        firsts = {photo.label[0]: photo.photo_id for photo in reversed(PHOTOS)}
        return tuple(firsts[letter] for letter in initials)

    return Split(
        method="grouped", seed=0, train=ids(train), validation=ids(validation), test=ids(test)
    )


def test_each_side_names_what_it_lacks() -> None:
    found = [*split_gaps(DATASET, split_of("DHS", "DHPS", "DH"))]
    assert found == [
        "no grouped training photo of 'Pants': the network cannot learn what it never sees; bring"
        " photos of more senders, or leave it out",
        "no grouped test photo of 'Pants', 'Shirt': the F1 says nothing of it; bring photos of"
        " more senders",
    ]
    assert [*untaught_classes(DATASET, split_of("DHS", "", ""))] == found[:1]


def test_a_side_without_photos_is_not_asked_for() -> None:
    assert not [*split_gaps(DATASET, split_of("DHPS", "", "DHPS"))]


def test_a_plain_split_lacks_nothing() -> None:
    photos = made_up_photos(600)
    dataset = Dataset(
        name="made up", photos=tuple(photos), labels=DATASET.labels, fingerprint="", dirt=Dirt()
    )
    assert not [*split_gaps(dataset, split_photos(photos, method="grouped", seed=0))]
