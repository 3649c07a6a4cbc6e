"""Draw the README's page of digits, as read_digits.py reads it: images/page.png

    MNIST_NPZ=path/to/mnist.npz python benchmarks/draw_page.py

The digits are test images of MNIST. The CNN is that of the notebook's last run.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import PROJECT, load_functions
from PIL import Image, ImageOps

ROWS = ["030 17254", "24 12 1998", "58 46 104"]


def draw_page(images, labels):
    """Return a page of three rows of digits, as a photograph with a soft shadow.

    images: (n, 28, 28), 0 to 255; labels: (n,).
    """
    random = np.random.default_rng(3)
    width, height = 860, 470
    ink = Image.new("L", (width, height))
    for row, text in enumerate(ROWS):
        x = 60
        for character in text:
            if character == " ":
                x += 55
                continue
            digit = random.choice(np.nonzero(labels == int(character))[0])
            stroke = Image.fromarray(images[digit])
            stroke = stroke.crop(stroke.getbbox())
            size = random.integers(72, 82)
            stroke = ImageOps.contain(stroke, (size, size))
            y = 65 + 135 * row + random.integers(-6, 7)
            ink.paste(stroke, (x, y), stroke)
            x += stroke.width + random.integers(20, 28)
    y, x = np.mgrid[:height, :width]
    light = 0.62 + 0.38 / (1 + np.exp((y + 0.5 * x - 560) / 90))  # a soft shadow
    strength = np.asarray(ink)[..., np.newaxis] / 255
    paper, pen = np.array([242, 238, 226]), np.array([40, 48, 92])
    pixels = light[..., np.newaxis] * (paper + strength * (pen - paper))
    return Image.fromarray(pixels.clip(0, 255).astype("uint8"))


def main():
    notebook = load_functions("load")
    with tempfile.TemporaryDirectory() as folder:
        page = draw_page(notebook.images_test, notebook.labels_test)
        page.save(Path(folder) / "page.png")
        program = [sys.executable, PROJECT / "read_digits.py"]
        subprocess.run([*program, Path(folder) / "page.png"], check=True)
        answered = Image.open(Path(folder) / "page.digits.png").convert("RGB")
        answered.quantize(200).save(PROJECT / "images" / "page.png", optimize=True)


if __name__ == "__main__":
    main()
