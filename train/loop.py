"""The training loop: one epoch at a time, each of them a place to go on from.

Order of the photos, views and dropout all come from (seed, epoch, step), and a checkpoint holds
the weights, their moving average and both optimizers. A training that was killed therefore ends
with the same weights as one that was not.
Sources: Loshchilov & Hutter 2019, arXiv:1711.05101 (AdamW); Loshchilov & Hutter 2017,
arXiv:1608.03983 (cosine decay); Polyak & Juditsky 1992 (averaged weights); Szegedy et al. 2016,
arXiv:1512.00567, section 7 (label smoothing).
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.approaches import Recipe
from train.backend import keras, tensorflow
from train.checkpoint import (
    EpochLog,
    best_of,
    read_log,
    remove_stale,
    weights_of,
    whole_or_told,
    write_log,
)
from train.divergence import divergence, write_weights
from train.errors import ConfigError
from train.feeds import UNLABELLED, Feed, Indices
from train.metrics import weighted_f1
from train.networks.blocks import HEAD_LAYER
from train.optimizers import make_optimizer
from train.predict import Outputs, Predictor
from train.progress import Progress
from train.storage import plain_write_errors


class Trainer:
    """A network in training: the live weights, their average and the optimizers."""

    def __init__(self, model: Any, feed: Feed, recipe: Recipe, *, seed: int) -> None:
        tf = tensorflow()
        self.recipe, self.feed, self.seed = recipe, feed, seed
        self.averaged = model
        self.model = (
            _of_any_size(model) if recipe.train_sizes else keras().models.clone_model(model)
        )
        self.model.set_weights(model.get_weights())
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        head = self.model.get_layer(HEAD_LAYER)
        self.head_variables = head.trainable_variables
        own = {id(variable) for variable in self.head_variables}
        self.body_variables = [v for v in self.model.trainable_variables if id(v) not in own]
        steps = len(feed.rows.train) // recipe.batch_size
        self.body_optimizer = make_optimizer(recipe, rate_factor=1.0, steps_per_epoch=steps)
        self.body_optimizer.build(self.body_variables)
        self.head_optimizer = make_optimizer(
            recipe, rate_factor=recipe.head_rate, steps_per_epoch=steps
        )
        self.head_optimizer.build(self.head_variables)
        self.state = tf.train.Checkpoint(
            model=self.model,
            averaged=self.averaged,
            body=self.body_optimizer,
            head=self.head_optimizer,
            step=self.step,
        )
        self._features = keras().Model(self.model.input, self.model.get_layer("features").output)
        self._predict = Predictor(self.averaged)
        self._train_step = tf.function(self._make_step())
        self._class_weights = tf.constant(self._weights_of_classes(), tf.float32)

    def _weights_of_classes(self) -> Any:
        rows = self.feed.rows
        if not self.recipe.class_weights:
            return np.ones(rows.classes)
        known = [truth for truth in rows.of_train() if truth != UNLABELLED]
        counts = np.bincount(known, minlength=rows.classes)
        weights = 1.0 / np.sqrt(np.maximum(counts, 1))
        return weights * counts.sum() / (weights * counts).sum()

    def _make_step(self) -> Callable[[Any, Any, Any], Any]:
        tf, recipe = tensorflow(), self.recipe
        head = self.model.get_layer(HEAD_LAYER)

        def step(views: Any, targets: Any, seed: Any) -> Any:
            with tf.GradientTape() as tape:
                features = kept = self._features(views, training=True)
                if recipe.dropout > 0:
                    kept = tf.nn.experimental.stateless_dropout(
                        features, rate=recipe.dropout, seed=seed
                    )
                loss = self.loss(targets, head(kept), features)
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

    def loss(self, targets: Any, logits: Any, features: Any) -> Any:
        """Return the mean loss of a batch: cross-entropy with smoothed labels, weighted by class.

        Args:
            targets: of the feed, ``(batch, classes)`` and what a feed of another kind adds.
            logits: ``(batch, classes)``.
            features: what the head was fed, before dropout: ``(batch, features)``.
        """
        del features  # a loss of another kind compares them
        tf = tensorflow()
        losses = keras().losses.categorical_crossentropy(
            targets, logits, from_logits=True, label_smoothing=self.recipe.label_smoothing
        )
        return tf.reduce_mean(losses * tf.linalg.matvec(targets, self._class_weights))

    def _average(self) -> None:
        tf = tensorflow()
        self.step.assign_add(1)
        done = tf.cast(self.step, tf.float32)
        decay = tf.minimum(self.recipe.average_weights, (1.0 + done) / (10.0 + done))
        for mean, live in zip(self.averaged.variables, self.model.variables, strict=True):
            mean.assign_add((1.0 - decay) * (live - mean))  # exact where nothing has moved

    def run_epoch(self, epoch: int, progress: Progress) -> float:
        """Train for one epoch and return its mean loss."""
        losses = []
        for views, targets, seed in self.feed.batches(epoch):
            losses.append(self._train_step(views, targets, seed))
            progress.advance(self.recipe.batch_size)
        return float(np.mean([float(value) for value in losses]))

    def has_finite_weights(self) -> bool:
        """Return whether all averaged weights are numbers still."""
        return all(np.isfinite(weights).all() for weights in self.averaged.get_weights())

    def validation_f1(self) -> float | None:
        """Return the weighted F1 of the averaged weights on the validation photos, if any."""
        rows = self.feed.rows
        if len(rows.validation) == 0:
            return None
        predictions = self.predict(rows.validation).argmax(axis=1)
        return weighted_f1(rows.of_validation(), predictions.tolist(), rows.classes)

    def predict(self, rows: Indices) -> Outputs:
        """Return the probabilities of these photos by the averaged weights."""
        return self._predict(self.feed.inputs_of(rows))

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
    trainer: Trainer, folder: Path, *, key: str, progress: Progress, whole: Any = None
) -> tuple[EpochLog, ...]:
    """Train to the end of the recipe, going on from ``folder`` where a training was cut off.

    Afterwards ``trainer.averaged`` holds the weights of the best epoch by validation F1, or of
    the last one where there are no validation photos.

    Args:
        trainer: the network and what it is trained on.
        folder: of the checkpoints; the caller removes it when the artifact stands.
        key: digest of all that decides the training; a folder of another key is refused.
        progress: told of steps and epochs.
        whole: the network that ``trainer.averaged`` is a part of, where ``--weights`` can begin
            from it: its best weights are left as a file if the loss is no longer a number.

    Raises:
        ArtifactError: the folder holds another training or a damaged one, or cannot be written.
        ConfigError: the loss is no longer a number.
    """
    log = read_log(folder, key=key)
    if log:
        _lay_best(trainer, folder, log)  # of no use yet, but damage is to be found now
        state = folder / log[-1].checkpoint
        with whole_or_told(state):
            trainer.state.read(str(state)).assert_consumed()
        progress.say(f"going on after epoch {len(log)}")
    recipe = trainer.recipe
    while len(log) < recipe.epochs and not _is_stale(log, recipe.patience):
        epoch = len(log)
        progress.begin(f"epoch {epoch + 1} of {recipe.epochs}", len(trainer.feed.rows.train))
        begin = time.perf_counter()
        loss = trainer.run_epoch(epoch, progress)
        if not (np.isfinite(loss) and trainer.has_finite_weights()):
            told = divergence(trainer.model.name, recipe, epoch=epoch + 1, loss=loss)
            raise ConfigError(told + _begin_again(trainer, folder, log, whole))
        score = trainer.validation_f1()
        seconds = time.perf_counter() - begin
        name = f"epoch-{epoch + 1:03d}"
        best = score is None or score > max(
            (entry.validation_f1 or 0.0 for entry in log), default=-1
        )
        trainer.save(folder / name, averaged_too=best)
        log = (
            *log,
            EpochLog(loss=loss, validation_f1=score, seconds=seconds, checkpoint=name, best=best),
        )
        write_log(folder, key=key, log=log)
        remove_stale(folder, log)
        progress.say(
            f"epoch {epoch + 1}/{recipe.epochs}: loss {loss:.3f},{_told(score, best)}"
            f" {seconds:.0f} s"
        )
    _lay_best(trainer, folder, log)
    return log


def _lay_best(trainer: Trainer, folder: Path, log: Sequence[EpochLog]) -> None:
    """Load the averaged weights of the best epoch.

    Raises:
        ArtifactError: they are damaged.
    """
    weights = weights_of(folder, best_of(log))
    with whole_or_told(weights):
        trainer.averaged.load_weights(weights)


def _begin_again(trainer: Trainer, folder: Path, log: Sequence[EpochLog], whole: Any) -> str:
    """Write the best weights of a training that failed, and return how to begin from them."""
    if whole is None or not log:
        return ""
    best = best_of(log)
    path = folder / f"{best.checkpoint}.npz"
    _lay_best(trainer, folder, log)
    write_weights(whole, path)
    return (
        f", or, with --weights {path}, from epoch {log.index(best) + 1}, the best before it (under"
        " the same --split and --seed: the photos that judge it must be new to it)"
    )


def _is_stale(log: Sequence[EpochLog], patience: int) -> bool:
    if patience == 0 or not log:
        return False
    best = max(number for number, entry in enumerate(log) if entry.best)
    return len(log) - 1 - best >= patience


def _told(score: float | None, best: bool) -> str:
    if score is None:
        return ""
    return f" validation F1 {score:.3f}{' (best)' if best else ''},"


def _of_any_size(model: Any) -> Any:
    """Return a copy of ``model`` that takes pictures of any size."""
    module = keras()
    entry = module.layers.Input((None, None, model.input_shape[-1]), name=model.input_names[0])
    return module.models.clone_model(model, input_tensors=entry)
