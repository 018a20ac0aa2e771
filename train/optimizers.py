"""The optimizers a recipe may name, with their warm-up, decay of the rate and decay of weights.

Weight decay is decoupled for both: each step takes ``rate * weight_decay`` of every kernel off it,
whatever the gradient. Biases, normalisation and scales are left alone.
Sources: Loshchilov & Hutter 2019, arXiv:1711.05101 (AdamW and SGDW); Loshchilov & Hutter 2017,
arXiv:1608.03983 (cosine decay); Sutskever et al. 2013 (Nesterov momentum); Goyal et al. 2017,
arXiv:1706.02677, section 2.2 (linear warm-up).
"""

from typing import Any

from train.approaches import Recipe
from train.backend import keras

LAST_SHARE_OF_RATE = 0.01
# Keras searches this in a variable's name, such as "stem_conv/kernel:0" or "x/depthwise_kernel:0".
# ConvNeXt's layer scale is a depthwise layer named "block1a_scale", and no kernel either.
NOT_A_KERNEL = r"^(?!.*kernel(:\d+)?$)|_scale/"


def make_optimizer(recipe: Recipe, *, rate_factor: float, steps_per_epoch: int) -> Any:
    """Return the recipe's optimizer, not yet built.

    Args:
        recipe: names the optimizer, its peak rate, schedule, momentum, weight decay, warm-up and
            length.
        rate_factor: the peak rate is this many times the recipe's.
        steps_per_epoch: calls of ``apply_gradients`` that make an epoch.
    """
    optimizers = keras().optimizers
    rate = make_schedule(recipe, rate_factor=rate_factor, steps_per_epoch=steps_per_epoch)
    # Compiled updates would not repeat bit for bit on every machine, and gain nothing on a CPU.
    common = {
        "learning_rate": rate,
        "weight_decay": recipe.weight_decay,
        "clipnorm": None,
        "jit_compile": False,
    }
    if recipe.optimizer == "sgd":
        optimizer = optimizers.SGD(momentum=recipe.momentum, nesterov=True, **common)
    else:
        optimizer = optimizers.AdamW(**common)
    optimizer.exclude_from_weight_decay(var_names=[NOT_A_KERNEL])
    return optimizer


def make_schedule(recipe: Recipe, *, rate_factor: float, steps_per_epoch: int) -> Any:
    """Return the rate as a function of the step: a straight rise, then half a cosine or a plateau.

    The rise ends at the peak after ``recipe.warmup_epochs``; with 0 the first step is taken at
    the peak. The cosine ends at the last step, at 1 % of the peak; the plateau is the peak.
    """
    schedules = keras().optimizers.schedules
    peak = recipe.learning_rate * rate_factor
    rise = round(recipe.warmup_epochs * steps_per_epoch)
    fall = max(1, recipe.epochs * steps_per_epoch - rise)
    last = 1.0 if recipe.schedule == "constant" else LAST_SHARE_OF_RATE  # a cosine from 1 to 1
    if rise == 0:
        return schedules.CosineDecay(peak, fall, alpha=last)
    return schedules.CosineDecay(0.0, fall, alpha=last, warmup_target=peak, warmup_steps=rise)
