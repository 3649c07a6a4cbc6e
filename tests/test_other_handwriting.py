"""Reading other people's handwriting from the files that its authors give."""

import numpy as np
import other_handwriting
import pytest


def write_ardis(folder, width=784):
    images = np.zeros((3, width), int)
    images[1, 29] = 255
    np.savetxt(folder / "ARDIS_test_2828.csv", images, "%d", delimiter=",")
    labels = np.eye(10, dtype=int)[[4, 0, 9]]
    np.savetxt(folder / "ARDIS_test_labels.csv", labels, "%d", delimiter=",")


def test_ardis_is_read_from_its_two_files(tmp_path):
    write_ardis(tmp_path)
    images, labels = other_handwriting.read_ardis(tmp_path)
    assert images.shape == (3, 28, 28)
    assert images[1, 1, 1] == images.sum() == 255
    assert labels.tolist() == [4, 0, 9]


def test_other_files_are_refused(tmp_path):
    write_ardis(tmp_path, width=256)
    with pytest.raises(SystemExit, match="is not ARDIS'"):
        other_handwriting.read_ardis(tmp_path)
