"""What the networks share: the names of stages, the input and the classifier."""

import numpy as np
import pytest

from train.backend import keras
from train.errors import ConfigError
from train.networks.blocks import BACKBONE_PREFIXES, convolution, plain_input, stage_of
from train.networks.lite_trio import BACKBONES


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("stem_conv", "stem"),
        ("stem_first_bn", "stem"),
        ("block1a_depthwise", "block1"),
        ("block12c_add", "block12"),
        ("head_relu", "head"),
        ("block2_down_conv", "block2"),
        ("lite0_stem_conv", "lite0_stem"),
        ("mobile_block3b_add", "mobile_block3"),
        ("lite2_features", ""),
        ("features", ""),
        ("logits", ""),
        ("rescale", ""),
    ],
)
def test_stage_is_read_off_the_name(name: str, stage: str) -> None:
    assert stage_of(name) == stage


def test_every_backbone_of_a_composite_has_a_known_prefix() -> None:
    assert tuple(BACKBONES) == BACKBONE_PREFIXES


def test_a_picture_smaller_than_the_stride_is_refused() -> None:
    with pytest.raises(ConfigError, match="image_size must be at least 32 pixels, got 31"):
        plain_input(31)


def test_padding_of_one_keeps_the_centre_of_a_strided_kernel() -> None:
    # Six positions 0..5, kernel 3, stride 2. Padded by one on each side the kernel's centre
    # stands on 0, 2, 4; under SAME, which pads the end alone, on 1, 3, 5.
    module = keras()
    line = module.layers.Input((6, 1, 1))
    sides = {
        pad: convolution(line, 1, name=f"pad-{pad}", kernel=3, stride=2, pad=pad)
        for pad in (1, None)
    }
    for pad, centres in ((1, [0, 2, 4]), (None, [1, 3, 5])):
        model = module.Model(line, sides[pad])
        kernel = np.zeros((3, 3, 1, 1), np.float32)
        kernel[1, 1] = 1.0
        model.layers[-1].set_weights([kernel])
        found = model(np.arange(6, dtype=np.float32).reshape(1, 6, 1, 1)).numpy()
        assert found.ravel().tolist() == centres
