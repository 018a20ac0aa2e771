import numpy as np

from train.backend import tensorflow
from train.boxes import put_into_boxes, span


def test_spans_are_cut_off_at_the_ends() -> None:
    tf = tensorflow()
    found = np.asarray(span(tf.constant((-1, 1, 3, 2)), tf.constant((2, 2, 9, 0)), 4)).astype(int)
    assert found.tolist() == [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_each_picture_takes_its_own_box_from_the_other() -> None:
    tf = tensorflow()
    pictures = np.arange(2 * 3 * 4 * 2, dtype=np.float32).reshape(2, 3, 4, 2)
    down = np.array([[True, True, False], [False, False, True]])
    across = np.array([[False, True, True, False], [False, False, False, True]])
    wanted = pictures.copy()
    wanted[0, 0:2, 1:3] *= -1
    wanted[1, 2, 3] *= -1
    found = put_into_boxes(
        tf.constant(pictures), tf.constant(-pictures), down=tf.constant(down), across=across
    )
    assert np.array_equal(found, wanted)


def test_a_single_row_stands_for_all() -> None:
    tf = tensorflow()
    row = np.arange(8, dtype=np.float32).reshape(1, 1, 4, 2)
    whole = tf.ones((1, 3), tf.bool)
    left = tf.constant([[True, True, False, False]])
    found = np.asarray(put_into_boxes(tf.fill((1, 3, 4, 2), 9.0), row, down=whole, across=left))
    assert (found[0, :, :2] == row[0, :, :2]).all()
    assert (found[0, :, 2:] == 9.0).all()
