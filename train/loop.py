"""The training loop: one epoch at a time, each of them a place to go on from.

Order of the photos, views and dropout all come from (seed, epoch, step), and a checkpoint holds
the weights, their moving average and both optimizers. A training that was killed therefore ends
with the same weights as one that was not.
Sources: Loshchilov & Hutter 2019, arXiv:1711.05101 (AdamW); Loshchilov & Hutter 2017,
arXiv:1608.03983 (cosine decay); Polyak & Juditsky 1992 (averaged weights); Szegedy et al. 2016,
arXiv:1512.00567, section 7 (label smoothing).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train.approaches import Recipe
from train.augment import augment
from train.backend import keras, tensorflow
from train.checkpoint import EpochLog, read_log, remove_stale, write_log
from train.errors import ConfigError
from train.metrics import weighted_f1
from train.pixels import Pixels
from train.predict import Predictor
from train.progress import Progress
from train.storage import plain_write_errors


@dataclass(frozen=True, kw_only=True)
class Sides:
    """What the loop trains on and what it is judged by.

    Attributes:
        train_pixels: ``(photo, rows, columns, 3)`` uint8, larger than the network's input.
        train_truths: class index of each training photo.
        validation_pixels: ``(photo, size, size, 3)`` uint8, by the pixel contract.
        validation_truths: class index of each validation photo.
    """

    train_pixels: Pixels
    train_truths: Sequence[int]
    validation_pixels: Pixels
    validation_truths: Sequence[int]


class Trainer:
    """A network in training: the live weights, their average and the optimizers."""

    def __init__(self, model: Any, sides: Sides, recipe: Recipe, *, seed: int) -> None:
        tf = tensorflow()
        self.recipe, self.sides, self.seed = recipe, sides, seed
        self.model = model
        self.averaged = keras().models.clone_model(model)
        self.averaged.set_weights(model.get_weights())
        self.steps_per_epoch = len(sides.train_truths) // recipe.batch_size
        if self.steps_per_epoch == 0:
            raise ConfigError(
                f"batch_size {recipe.batch_size} is more than the {len(sides.train_truths)}"
                " training photos; lower it"
            )
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        head = model.get_layer("logits")
        self.head_variables = head.trainable_variables
        own = {id(variable) for variable in self.head_variables}
        self.body_variables = [v for v in model.trainable_variables if id(v) not in own]
        self.body_optimizer = self._optimizer(1.0, self.body_variables)
        self.head_optimizer = self._optimizer(recipe.head_rate, self.head_variables)
        self.state = tf.train.Checkpoint(
            model=self.model,
            averaged=self.averaged,
            body=self.body_optimizer,
            head=self.head_optimizer,
            step=self.step,
        )
        self._features = keras().Model(model.input, model.get_layer("features").output)
        self._predict = Predictor(self.averaged)
        self._train_step = tf.function(self._make_step())
        self._class_weights = tf.constant(self._weights_of_classes(), tf.float32)

    def _optimizer(self, factor: float, variables: Sequence[Any]) -> Any:
        recipe, optimizers = self.recipe, keras().optimizers
        rate = optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0,
            warmup_target=recipe.learning_rate * factor,
            warmup_steps=self.steps_per_epoch,
            decay_steps=max(1, (recipe.epochs - 1) * self.steps_per_epoch),
            alpha=0.01,
        )
        optimizer = optimizers.AdamW(
            learning_rate=rate, weight_decay=recipe.weight_decay, clipnorm=None, jit_compile=False
        )
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        optimizer.build(variables)
        return optimizer

    def _weights_of_classes(self) -> Any:
        classes = self.model.output_shape[-1]
        if not self.recipe.class_weights:
            return np.ones(classes)
        counts = np.bincount(self.sides.train_truths, minlength=classes)
        weights = 1.0 / np.sqrt(np.maximum(counts, 1))
        return weights * counts.sum() / (weights * counts).sum()

    def _make_step(self) -> Callable[[Any, Any, Any], Any]:
        tf, recipe = tensorflow(), self.recipe
        head = self.model.get_layer("logits")
        classes = self.model.output_shape[-1]

        def step(views: Any, truths: Any, seed: Any) -> Any:
            with tf.GradientTape() as tape:
                features = self._features(views, training=True)
                if recipe.dropout > 0:
                    features = tf.nn.experimental.stateless_dropout(
                        features, rate=recipe.dropout, seed=seed
                    )
                losses = keras().losses.categorical_crossentropy(
                    tf.one_hot(truths, classes),
                    head(features),
                    from_logits=True,
                    label_smoothing=recipe.label_smoothing,
                )
                loss = tf.reduce_mean(losses * tf.gather(self._class_weights, truths))
            both = [*self.body_variables, *self.head_variables]
            gradients = tape.gradient(loss, both)
            cut = len(self.body_variables)
            if cut:
                pairs = zip(gradients[:cut], self.body_variables, strict=True)
                self.body_optimizer.apply_gradients(pairs)
            self.head_optimizer.apply_gradients(
                zip(gradients[cut:], self.head_variables, strict=True)
            )
            self._average()
            return loss

        return step

    def _average(self) -> None:
        tf = tensorflow()
        self.step.assign_add(1)
        done = tf.cast(self.step, tf.float32)
        decay = tf.minimum(self.recipe.average_weights, (1.0 + done) / (10.0 + done))
        for mean, live in zip(self.averaged.variables, self.model.variables, strict=True):
            mean.assign_add((1.0 - decay) * (live - mean))  # exact where nothing has moved

    def views(self, epoch: int) -> Any:
        """Return the epoch's batches: (views, truths, seed), as a ``tf.data.Dataset``."""
        tf, sides, recipe = tensorflow(), self.sides, self.recipe
        truths = np.asarray(sides.train_truths, dtype=np.int32)
        order = np.random.default_rng((self.seed, epoch)).permutation(len(truths))
        shape = (recipe.batch_size, *sides.train_pixels.shape[1:])

        def batches() -> Iterator[tuple[Any, Any, Any]]:
            for number in range(self.steps_per_epoch):
                start = number * recipe.batch_size
                chosen = order[start : start + recipe.batch_size]
                seed = np.array((self.seed * 100_003 + epoch, number), dtype=np.int32)
                yield sides.train_pixels[np.sort(chosen)], truths[np.sort(chosen)], seed

        signature = (
            tf.TensorSpec(shape, tf.uint8),
            tf.TensorSpec(shape[:1], tf.int32),
            tf.TensorSpec((2,), tf.int32),
        )
        return (
            tf.data.Dataset.from_generator(batches, output_signature=signature)
            .map(
                lambda pixels, labels, seed: (
                    augment(pixels, size=recipe.image_size, seed=seed, config=recipe.augment),
                    labels,
                    seed + tf.constant((0, 1 << 20)),
                ),
                num_parallel_calls=2,
            )
            .prefetch(4)
        )

    def run_epoch(self, epoch: int, progress: Progress) -> float:
        """Train for one epoch and return its mean loss.

        Raises:
            ConfigError: the loss is no longer a number.
        """
        losses = []
        for views, truths, seed in self.views(epoch):
            losses.append(self._train_step(views, truths, seed))
            progress.advance(self.recipe.batch_size)
        loss = float(np.mean([float(value) for value in losses]))
        if not np.isfinite(loss):
            raise ConfigError(
                f"the loss of {self.model.name} became {loss} in epoch {epoch + 1}; the epoch"
                f" before it is kept; lower learning_rate (now {self.recipe.learning_rate})"
            )
        return loss

    def validation_f1(self) -> float:
        """Return the weighted F1 of the averaged weights on the validation photos."""
        predictions = self._predict(self.sides.validation_pixels).argmax(axis=1)
        return weighted_f1(
            self.sides.validation_truths, predictions.tolist(), self.model.output_shape[-1]
        )

    def save(self, prefix: Path, *, averaged_too: bool) -> None:
        """Write all state under ``prefix``, and the averaged weights as a file of their own.

        Raises:
            ArtifactError: the folder cannot be written.
        """
        with plain_write_errors(prefix.parent):
            try:
                self.state.write(str(prefix))
            except tensorflow().errors.OpError as error:
                raise OSError(error.message) from error
            if averaged_too:
                self.averaged.save_weights(f"{prefix}.weights.h5")


def train_epochs(
    trainer: Trainer, folder: Path, *, key: str, progress: Progress
) -> tuple[EpochLog, ...]:
    """Train to the end of the recipe, going on from ``folder`` where a training was cut off.

    Afterwards ``trainer.averaged`` holds the weights of the best epoch by validation F1.

    Args:
        trainer: the network and what it is trained on.
        folder: of the checkpoints; the caller removes it when the artifact stands.
        key: digest of all that decides the training; a folder of another key is refused.
        progress: told of steps and epochs.
    """
    log = read_log(folder, key=key)
    if log:
        trainer.state.read(str(folder / log[-1].checkpoint)).assert_consumed()
        progress.say(f"going on after epoch {len(log)}, validation F1 {log[-1].validation_f1:.3f}")
    recipe = trainer.recipe
    while len(log) < recipe.epochs and not _is_stale(log, recipe.patience):
        epoch = len(log)
        progress.begin(f"epoch {epoch + 1} of {recipe.epochs}", len(trainer.sides.train_truths))
        begin = time.perf_counter()
        loss = trainer.run_epoch(epoch, progress)
        score = trainer.validation_f1()
        seconds = time.perf_counter() - begin
        name = f"epoch-{epoch + 1:03d}"
        best = not log or score > max(entry.validation_f1 for entry in log)
        trainer.save(folder / name, averaged_too=best)
        log = (
            *log,
            EpochLog(loss=loss, validation_f1=score, seconds=seconds, checkpoint=name, best=best),
        )
        write_log(folder, key=key, log=log)
        remove_stale(folder, log)
        progress.say(
            f"epoch {epoch + 1}/{recipe.epochs}: loss {loss:.3f}, validation F1 {score:.3f},"
            f" {seconds:.0f} s{' (best)' if best else ''}"
        )
    kept = next(entry for entry in reversed(log) if entry.best)
    trainer.averaged.load_weights(folder / f"{kept.checkpoint}.weights.h5")
    return log


def _is_stale(log: Sequence[EpochLog], patience: int) -> bool:
    if patience == 0 or not log:
        return False
    best = max(number for number, entry in enumerate(log) if entry.best)
    return len(log) - 1 - best >= patience
