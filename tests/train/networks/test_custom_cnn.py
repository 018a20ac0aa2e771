"""custom-cnn: what it costs."""

from tests.train.networks.counting import maccs_of
from train.networks.custom_cnn import DEFAULT_IMAGE_SIZE, build_custom_cnn


def test_custom_cnn_keeps_to_its_budget() -> None:
    model = build_custom_cnn(classes=17)
    assert model.input_shape == (None, DEFAULT_IMAGE_SIZE, DEFAULT_IMAGE_SIZE, 3)
    assert DEFAULT_IMAGE_SIZE == 160
    assert maccs_of(model) <= 150_000_000
    assert 1_000_000 <= model.count_params() <= 3_000_000


def test_custom_cnn_costs_what_the_table_says() -> None:
    # Rows x columns x kernel x channels in x channels out. 160 px: 80, 40 | 40 | 20 | 10 | 5.
    stem = 80 * 80 * 9 * 3 * 24 + 40 * 40 * 9 * 24 * 32
    block1 = 2 * 40 * 40 * 9 * 32 * 32
    block2 = 20 * 20 * (9 * 32 * 64 + 9 * 64 * 64 + 32 * 64)
    block3 = 10 * 10 * (9 * 64 * 128 + 3 * 9 * 128 * 128 + 64 * 128)
    block4 = 5 * 5 * (9 * 128 * 256 + 9 * 256 * 256 + 128 * 256)
    model = build_custom_cnn(classes=17)
    assert maccs_of(model) == stem + block1 + block2 + block3 + block4 + 256 * 17
