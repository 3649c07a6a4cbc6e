"""The random shifts: an image moves by at most one pixel, keeps its label, and all nine positions come up."""

import numpy as np


def test_moves_by_up_to_one_pixel_and_keeps_labels(functions):
    n = 100 * functions.BATCH_SIZE  # each batch moves as a whole: enough of them for all nine positions
    images = np.zeros((n, 28, 28, 1), "float32")
    images[np.arange(n), 14, 14, 0] = np.linspace(0.5, 1, n)  # tells the images apart
    functions.keras.utils.set_random_seed(0)
    positions = set()
    seen = {}
    for moved, labels in functions.shifted_batches(images, np.arange(n)):
        which, rows, columns, _ = np.nonzero(moved.numpy())
        assert list(which) == list(range(len(labels)))  # one pixel of ink in each image, as before
        positions |= set(zip(rows - 14, columns - 14))
        seen |= dict(zip(labels.numpy(), moved.numpy().max(axis=(1, 2, 3))))
    assert positions == {(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)}
    np.testing.assert_array_equal([seen[label] for label in range(n)], images.max(axis=(1, 2, 3)))
