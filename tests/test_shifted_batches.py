"""The random shifts: an image moves by at most one pixel, keeps its label, and all nine positions come up."""

import numpy as np


def test_moves_by_up_to_one_pixel_and_keeps_labels(functions, monkeypatch):
    images = np.zeros((1000, 28, 28, 1), "float32")
    images[np.arange(1000), 14, 14] = np.linspace(0.5, 1, 1000)[:, np.newaxis]  # tells the images apart
    monkeypatch.setattr(functions, "BATCH_SIZE", 4)
    positions = set()
    seen = {}
    for moved, labels in functions.shifted_batches(images, np.arange(1000)):
        for image, label in zip(moved.numpy(), labels.numpy()):
            (row,), (column,), _ = np.nonzero(image)
            positions.add((row - 14, column - 14))
            seen[label] = image.max()
    assert positions == {(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)}
    np.testing.assert_array_equal([seen[label] for label in range(1000)], images.max(axis=(1, 2, 3)))
