"""What the training loop is fed: batches of photos' views, or of their frozen maps.

Order, views and mixing all come from (seed, epoch, step), so a training that was killed sees the
same batches when it goes on.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from train.approaches import Recipe
from train.augment import augment
from train.backend import tensorflow
from train.errors import ConfigError
from train.mixing import mix
from train.pixels import Pixels
from train.sampling import epoch_order
from train.trunk import StoredMaps

UNLABELLED = -1  # in place of a class
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Which photos of a dataset train and validate, and their classes.

    Attributes:
        train: indices of the training photos.
        validation: indices of the validation photos; may be empty.
        truths: class index of every photo of the dataset; ``UNLABELLED`` where none is known.
        classes: number of classes.
    """

    train: Indices
    validation: Indices
    truths: npt.NDArray[np.int32]
    classes: int

    def of_train(self) -> list[int]:
        """Return the classes of the training photos."""
        return [int(truth) for truth in self.truths[self.train]]

    def of_validation(self) -> list[int]:
        """Return the classes of the validation photos."""
        return [int(truth) for truth in self.truths[self.validation]]


class Feed(Protocol):
    """A source of training batches, and of what the network is validated on."""

    @property
    def rows(self) -> Rows:
        """Which photos these are."""

    def batches(self, epoch: int) -> Any:
        """Return the epoch's batches: inputs float32, targets ``(batch, classes)``, seed."""

    def inputs_of(self, rows: Indices) -> npt.NDArray[Any]:
        """Return the inputs of these photos themselves, not of views."""


class PhotoFeed:
    """Fresh random views of photos, made while the network trains."""

    def __init__(
        self, rows: Rows, *, large: Pixels, plain: Pixels, recipe: Recipe, seed: int
    ) -> None:
        """Take the pixels of all photos of the dataset.

        Args:
            rows: which of them train and validate.
            large: ``(photo, rows, columns, 3)`` uint8, larger than the network's input.
            plain: ``(photo, size, size, 3)`` uint8, by the pixel contract.
            recipe: sizes, augmentation, mixing and sampling.
            seed: of all random choices.

        Raises:
            ConfigError: a batch is larger than the training side.
        """
        require_batch(rows, recipe)
        self.rows, self._large, self._plain = rows, large, plain
        self._recipe, self._seed = recipe, seed

    def inputs_of(self, rows: Indices) -> Pixels:
        """Return the photos' pixels, uint8."""
        return self._plain[rows]

    def batches(self, epoch: int) -> Any:
        """Return the epoch's batches, as a ``tf.data.Dataset``."""
        tf, recipe = tensorflow(), self._recipe
        sizes = recipe.train_sizes or (recipe.image_size,)

        def chosen(step: int, batch: Indices) -> tuple[Any, ...]:
            seed = step_seed(self._seed, epoch, step)
            draw = np.random.default_rng((self._seed, epoch, step)).integers(len(sizes))
            return self._large[batch], self.rows.truths[batch], seed, np.int32(sizes[draw])

        def viewed(pixels: Any, truths: Any, seed: Any, size: Any) -> Any:
            side = recipe.image_size if len(sizes) == 1 else size
            views = augment(pixels, size=side, seed=seed, config=recipe.augment)
            targets = tf.one_hot(truths, self.rows.classes)
            views, targets = mix(views, targets, seed, mixup=recipe.mixup, cutmix=recipe.cutmix)
            return views, targets, seed + tf.constant((0, 1 << 20))

        shape = (recipe.batch_size, *self._large.shape[1:])
        signature = (
            tf.TensorSpec(shape, tf.uint8),
            tf.TensorSpec(shape[:1], tf.int32),
            tf.TensorSpec((2,), tf.int32),
            tf.TensorSpec((), tf.int32),
        )
        steps = _steps(self.rows, recipe, self._seed, epoch)
        return _loaded(steps, chosen, signature).map(viewed, num_parallel_calls=2).prefetch(4)


class MapsFeed:
    """Stored maps of the frozen layers, each photo by another of its views every epoch."""

    def __init__(
        self, rows: Rows, *, views: Sequence[StoredMaps], recipe: Recipe, seed: int
    ) -> None:
        """Take the maps of all photos of the dataset.

        Args:
            rows: which of them train and validate.
            views: ``(photo, ...)`` float16 each; the first is of the photos themselves.
            recipe: mixing and sampling.
            seed: of all random choices.

        Raises:
            ConfigError: a batch is larger than the training side.
        """
        require_batch(rows, recipe)
        self.rows, self._views, self._recipe, self._seed = rows, views, recipe, seed
        self._first = np.random.default_rng((seed, len(views))).integers(
            len(views), size=len(rows.truths)
        )

    def inputs_of(self, rows: Indices) -> npt.NDArray[np.float16]:
        """Return the maps of the photos themselves, float16."""
        return self._views[0][rows]

    def targets_of(self, photos: Indices, views: Indices) -> npt.NDArray[np.float32]:
        """Return what is learned from one view of each photo, ``(photo, targets)``."""
        del views  # a feed of another kind tells views of one photo apart
        classes = self.rows.classes
        hot = np.eye(classes + 1, dtype=np.float32)[self.rows.truths[photos]]
        return hot[:, :classes]  # of an unlabelled photo the last row, and nothing of it

    def batches(self, epoch: int) -> Any:
        """Return the epoch's batches, as a ``tf.data.Dataset``."""
        tf, recipe = tensorflow(), self._recipe
        shape = (recipe.batch_size, *self._views[0].shape[1:])

        def chosen(step: int, batch: Indices) -> tuple[Any, ...]:
            views = (self._first[batch] + epoch) % len(self._views)
            maps = np.empty(shape, dtype=np.float16)
            for place, (photo, view) in enumerate(zip(batch, views, strict=True)):
                maps[place] = self._views[view][photo]
            return maps, self.targets_of(batch, views), step_seed(self._seed, epoch, step)

        def mixed(maps: Any, targets: Any, seed: Any) -> Any:
            maps = tf.cast(maps, tf.float32)
            maps, targets = mix(maps, targets, seed, mixup=recipe.mixup, cutmix=recipe.cutmix)
            return maps, targets, seed + tf.constant((0, 1 << 20))

        signature = (
            tf.TensorSpec(shape, tf.float16),
            tf.TensorSpec((shape[0], None), tf.float32),
            tf.TensorSpec((2,), tf.int32),
        )
        steps = _steps(self.rows, recipe, self._seed, epoch)
        return _loaded(steps, chosen, signature).map(mixed, num_parallel_calls=1).prefetch(4)


def require_batch(rows: Rows, recipe: Recipe) -> None:
    """Refuse a batch that the training side cannot fill.

    Raises:
        ConfigError: it is larger than the side.
    """
    if len(rows.train) < recipe.batch_size:
        raise ConfigError(
            f"batch_size {recipe.batch_size} is more than the {len(rows.train)} training photos;"
            f" set it to {len(rows.train)} or less, as with --set"
            f" batch_size={max(2, len(rows.train) // 4)}"
        )


def step_seed(seed: int, epoch: int, step: int) -> npt.NDArray[np.int32]:
    """Return the two numbers that all randomness of one step comes from."""
    return np.array((seed * 100_003 + epoch, step), dtype=np.int32)


def _steps(rows: Rows, recipe: Recipe, seed: int, epoch: int) -> Iterator[Indices]:
    """Yield the photos of each full batch of an epoch, sorted, so that reading goes forward."""
    order = epoch_order(rows.of_train(), seed=seed, epoch=epoch, balance=recipe.class_sampling)
    for start in range(0, len(order) - recipe.batch_size + 1, recipe.batch_size):
        yield rows.train[np.sort(order[start : start + recipe.batch_size])]


def _loaded(
    steps: Iterator[Indices],
    load: Callable[[int, Indices], tuple[Any, ...]],
    signature: Sequence[Any],
) -> Any:
    """Return what ``load`` gives for each step, in order, as a ``tf.data.Dataset``.

    ``Dataset.from_generator`` would be shorter. Under Python 3.11 TensorFlow then tells the C
    library, for good, to ask the system for the memory of every tensor and to give it back after,
    and most of a small network's step goes into page faults.

    Args:
        steps: photos of each step.
        load: from the number of a step and its photos to arrays as in ``signature``.
        signature: a ``tf.TensorSpec`` each.
    """
    tf = tensorflow()
    batches = list(steps)

    kinds = [spec.dtype for spec in signature]

    def read(step: Any) -> tuple[Any, ...]:
        found = tf.numpy_function(lambda number: load(int(number), batches[number]), [step], kinds)
        shaped = [
            tf.ensure_shape(one, spec.shape) for one, spec in zip(found, signature, strict=True)
        ]
        return tuple(shaped)

    return tf.data.Dataset.range(len(batches)).map(read)
