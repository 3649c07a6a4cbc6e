"""Read the handwritten digits in pictures, row by row, with a network trained on MNIST.

    python read_digits.py page.jpg

prints the digits and writes page.digits.png, the picture with a box and the answer at
each digit. In Python, use find_digits and read_digits.
"""

import argparse
import contextlib
import faulthandler
import hashlib
import io
import json
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps, PngImagePlugin
from scipy import ndimage

with contextlib.suppress(ImportError):  # without it, HEIC is refused with advice
    import pillow_heif

    pillow_heif.register_heif_opener()

MODEL = Path(__file__).with_name("artifacts") / "CNN.keras"
LARGE = 150  # pixels a side; smaller pictures have no shadows and no ruled lines
COMMAND = "jupyter nbconvert --config nbconvert_config.py --execute --to html *.ipynb"


def open_picture(image):
    """Return what find_digits accepts as a PIL image, RGBA, upright as EXIF says."""
    if isinstance(image, bytes):
        image = io.BytesIO(image)
    if isinstance(image, (str, os.PathLike)) or hasattr(image, "read"):
        try:
            image = Image.open(image)
            image.load()
        except (FileNotFoundError, IsADirectoryError, PermissionError):
            raise
        except Exception as error:  # Pillow raises many kinds
            raise ValueError(
                f"This is no picture ({type(error).__name__}). Save it as PNG or JPEG "
                "once more; for HEIC, you can also pip install pillow-heif."
            ) from error
    if not isinstance(image, Image.Image) or image.mode[0] in "IF":
        image = convert_array(np.asarray(image))
    return ImageOps.exif_transpose(image).convert("RGBA")


def convert_array(values):
    """Return an array as a PIL image, its values stretched to 0 to 255."""
    grey = np.squeeze(values)
    is_picture = grey.ndim == 2 or (grey.ndim == 3 and grey.shape[2] in (3, 4))
    if not is_picture or grey.dtype.kind not in "buif" or not np.isfinite(grey).all():
        raise ValueError(
            f"An array of {grey.dtype} of shape {values.shape} is no picture: pass "
            "numbers, one picture at a time, (h, w), (h, w, 3) or (h, w, 4)."
        )
    grey = grey - grey.min().astype("float64")
    grey = 255 * grey / max(grey.max(), 1e-300)
    return Image.fromarray(grey.round().astype("uint8"))


def border(values):
    """Return the values (h, w) along the four edges, one after the other."""
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def find_ink(picture):
    """Return a PIL image's ink, float32 (h, w), 0 for paper; either may be darker."""
    grey = np.asarray(picture.convert("RGB").convert("L"), "float32") / 255
    opacity = np.asarray(picture.getchannel("A"), "float32") / 255
    visible = grey[opacity > 0.9]
    if visible.size < grey.size / 2:
        grey = 1 - opacity  # all that can be seen is the ink
    else:
        grey = np.where(opacity <= 0.9, np.median(visible), grey)
    if max(grey.shape) > LARGE:
        # A board is dark nearly all over: no shadow, and no table with a sheet on it.
        lightest_patch = ndimage.minimum_filter(grey, max(grey.shape) // 6).max()
        if max(np.median(grey), lightest_patch) < 0.45:
            grey = 1 - grey
        grey = ndimage.gaussian_filter(grey, 1, mode="mirror")
        # The closing fills strokes narrower than a fifth of the picture with paper.
        paper = ndimage.grey_closing(grey, max(grey.shape) // 5)
        return np.clip(1 - grey / np.maximum(paper, 0.05), 0, 1)  # as shares of light
    # Cropped to its ink, a digit cuts the paper into pieces and stays one itself.
    dark = grey <= (grey.min() + grey.max()) / 2
    dark_pieces = np.unique(border(ndimage.label(dark)[0])).size
    light_pieces = np.unique(border(ndimage.label(~dark)[0])).size
    dark_share = border(dark[1:-1, 1:-1]).mean()  # inside a frame of one pixel
    is_board = (dark_pieces, dark_share) > (light_pieces, 0.5)
    return grey - grey.min() if is_board else grey.max() - grey


def find_pieces(mask, near=None):
    """Return the place, two slices, and the pixels there of each piece of a mask.

    Pixels that touch at a corner are of one piece, and those that a wider mask joins.
    """
    labels = ndimage.label(mask if near is None else near, np.ones((3, 3)))[0] * mask
    places = enumerate(ndimage.find_objects(labels), start=1)
    return [(place, labels[place] == number) for number, place in places]


def remove_lines(mask):
    """Return a mask (h, w) without ruled lines, but with the ink that crosses them."""
    reach = 2 * max(1, max(mask.shape) // 300) + 1  # lets lines be a little crooked
    wide = ndimage.maximum_filter(mask, reach)
    rest = mask.copy()
    for turned, view in ((wide, rest), (wide.T, rest.T)):
        height, width = turned.shape
        runs = ndimage.grey_opening(turned.astype("uint8"), (1, width // 6))
        for place, line in find_pieces(runs > 0):
            is_thin = line.sum(axis=0).mean() < max(mask.shape) / 25
            if is_thin and line.shape[1] > 0.75 * width:
                view[place] &= ~line
    size = max(mask.shape) // 40
    return mask & (ndimage.grey_closing(rest.astype("uint8"), (size, size)) > 0)


def clean(mask):
    """Return a mask (h, w) without frames, lines, and what a photograph's edge cuts."""
    mask = mask.copy()
    for place, own in find_pieces(mask):
        holes = ndimage.binary_fill_holes(own) & ~own
        inside = mask[place] & holes
        if inside.sum() > 0.01 * holes.sum() or holes.mean() > 0.8:
            mask[place] &= ~own  # a frame, a ring or a table round something
    if max(mask.shape) <= LARGE:
        return mask
    mask = remove_lines(mask)
    edge = mask.copy()
    edge[1:-1, 1:-1] = False
    inside = mask & ~ndimage.binary_propagation(edge, np.ones((3, 3)), mask)
    is_cut = inside.any() or border(mask).mean() > 0.3  # else it fills the picture
    return inside if is_cut else mask


def group_pieces(mask):
    """Return the digits in a mask, as find_pieces does; some are of several pieces."""
    if max(mask.shape) <= 32:
        return find_pieces(mask, np.ones_like(mask))  # one digit, as in MNIST
    heights = []
    for _, own in find_pieces(mask):
        heights += own.sum() * [len(own)]
    typical = np.median(heights) if heights else 0
    # A digit's pieces lie above one another, or the pen has left a narrow gap.
    reach = (2 * int(typical / 16) + 1, 2 * int(typical / 40) + 1)
    digits = []
    for place, own in find_pieces(mask, ndimage.maximum_filter(mask, reach)):
        height, width = own.shape
        is_speck = height < max(0.35 * typical, 0.4 * width, max(mask.shape) / 200)
        is_hole = own.mean() > 0.72 and 0.8 < height / width < 1.25  # of a punch
        if not is_speck and not is_hole:
            digits.append((place, own))
    return digits


def sort_rows(digits):
    """Return digits in rows from top to bottom, each from left to right."""
    rows = []
    for digit in sorted(digits, key=lambda digit: digit[0]):
        _, top, _, bottom = digit[0]
        for row in rows:
            _, last_top, _, last_bottom = row[-1][0]
            overlap = min(bottom, last_bottom) - max(top, last_top)
            if overlap > 0.4 * min(bottom - top, last_bottom - last_top):
                row.append(digit)
                break
        else:
            rows.append([digit])
    return sorted(rows, key=lambda row: row[0][0][1])


def resize(values, longest):
    """Return an array (h, w) with its longer side as given."""
    image = Image.fromarray(values.astype("float32"))
    return np.asarray(ImageOps.contain(image, (longest, longest))).clip(0)


def prepare_digit(ink, threshold):
    """Return one digit's ink (h, w) as MNIST has it: (28, 28), 0 paper to 1 ink.

    Fitted into 20 x 20 pixels, centre of mass in the middle, strokes 2.5 to 4 wide.
    """
    ink = np.pad(resize(np.pad(ink, max(ink.shape) // 20 + 1), 120), 30)
    darkest = ndimage.maximum_filter(ink, 30)
    stroke = ink > np.maximum(darkest, threshold) / 2
    inside = ndimage.distance_transform_edt(stroke)
    outside = ndimage.distance_transform_edt(~stroke)
    pixel = max(np.ptp(np.nonzero(stroke), axis=1) + 1) / 20  # of the image to be
    width = 4 * np.mean(inside[stroke] - 0.5)
    growth = (np.clip(width, 2.5 * pixel, 4 * pixel) - width) / 2
    soft = np.clip(0.5 + (inside - outside + growth) / pixel, 0, 1)
    box = ndimage.find_objects((soft > 0.1).astype(int))[0]
    page = np.pad(resize(soft[box], 20), 20)
    row, column = np.round(ndimage.center_of_mass(page)).astype(int)
    return page[row - 14 : row + 14, column - 14 : column + 14] / page.max()


def find_digits(image):
    """Find the digits in a picture, row by row.

    image: a file's name, Path, bytes, an open file, a PIL image, or an array (h, w) or
    (h, w, 1, 3 or 4), also with a 1 before these, of any range.
    Returns rows, lists of (box, digit): left, top, right, bottom in the upright
    picture's pixels; (28, 28), 0 for paper to 1 for ink. Raises ValueError for what is
    no picture or has no digit, and FileNotFoundError.
    """
    picture = open_picture(image)
    scale = max(1, max(picture.size) / 2000)
    picture.thumbnail((2000, 2000))
    ink = find_ink(picture)
    threshold = ink.max() / 2
    for _ in range(10):  # half way between paper's and ink's mean (Otsu, 1979)
        mask = ink > threshold
        threshold = (ink[mask].mean() + ink[~mask].mean()) / 2 if mask.any() else 0
    is_noise = ndimage.label(mask)[1] > 40 and mask.mean() > 0.35
    # Ink takes more of the light than a shade does.
    is_shade = max(ink.shape) > LARGE and threshold < 0.04
    digits = []
    if mask.any() and not is_noise and not is_shade:
        for place, own in group_pieces(clean(mask)):
            rows, columns = place
            box = (columns.start, rows.start, columns.stop, rows.stop)
            box = tuple(round(scale * side) for side in box)
            own = ndimage.binary_dilation(own)
            digits.append((box, prepare_digit(ink[place] * own, threshold)))
    if not digits:
        raise ValueError("There is no digit in this picture, or none that stands out.")
    return sort_rows(digits)


def read_digits(image, model):
    """Read the digits in a picture that find_digits accepts, with a Keras model.

    Returns the text, a line for each row, and the probabilities, (n, 10).
    """
    return read_rows(find_digits(image), model)


def read_rows(rows, model):
    """Return the text and the probabilities (n, 10) for what find_digits returns."""
    lines = []
    probabilities = []
    for row in rows:
        images = np.array([digit for _, digit in row])
        x = images.reshape(-1, *model.input_shape[1:])
        probabilities.append(model.predict(x, verbose=0))
        answers = probabilities[-1].argmax(axis=1)
        lines.append("".join(str(answer) for answer in answers))
    return "\n".join(lines), np.concatenate(probabilities)


def load_model(path):
    """Return the Keras model at a path. Errors say which command makes one."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"There is no trained model at {path}. Make one: {COMMAND}")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # slower with a graphics card
    stderr = os.dup(2)
    faulthandler.enable(stderr)  # says where, should the import abort Python
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3":  # 0 shows messages
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        import keras
    finally:
        os.dup2(stderr, 2)
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # pages of it, where another version saved the model
        with zipfile.ZipFile(path) as archive:
            version = json.loads(archive.read("metadata.json"))["keras_version"]
        raise ValueError(
            f"Keras {version} saved {path}, and Keras {keras.__version__}, which is "
            f"installed here, can't load it: upgrade Keras, or train anew: {COMMAND}"
        ) from error


def write_picture(name, folder, boxes, probabilities):
    """Write a picture with boxes and answers, orange where unsure; return its path."""
    path = Path(folder or Path(name).parent) / f"{Path(name).stem}.digits.png"
    source = hashlib.sha256(str(Path(name).resolve()).encode()).hexdigest()
    if path.exists() and Image.open(path).info.get("read_digits.py") != source:
        raise FileExistsError(f"{path} is not {name}'s: move it, or use --output.")
    picture = open_picture(name)
    draw = ImageDraw.Draw(picture)
    for (left, top, right, bottom), chances in zip(boxes, probabilities, strict=True):
        answer, colour = str(chances.argmax()), "#0072b2"
        if chances.max() < 0.9:
            answer, colour = answer + "?", "#d55e00"
        size = max(10, (bottom - top) // 3)
        line = max(1, size // 16)
        top -= 2 * line
        frame = (left - 2 * line, top, right + 2 * line, bottom + 2 * line)
        draw.rectangle(frame, outline=colour, width=line)
        draw.text((left, max(top, size)), answer, colour, font_size=size, anchor="lb")
    text = PngImagePlugin.PngInfo()
    text.add_text("read_digits.py", source)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, pnginfo=text)
    return str(path)


def main(arguments=None):
    """Read the pictures that the command line names, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pictures", nargs="+", help="files: PNG, JPEG, ...")
    parser.add_argument("--model", default=MODEL, help="a .keras file [%(default)s]")
    parser.add_argument("--output", help="a folder for the pictures with the answers")
    parser.add_argument("--json", action="store_true", help="print a line of JSON each")
    options = parser.parse_args(arguments)
    try:
        model = load_model(options.model)
    except ValueError as error:
        sys.exit(str(error))
    status = 0
    for name in options.pictures:
        report = {"file": name}
        try:
            rows = find_digits(name)
            report["text"], probabilities = read_rows(rows, model)
            report["boxes"] = [box for row in rows for box, _ in row]
            report["probabilities"] = probabilities.tolist()
            report["picture"] = write_picture(
                name, options.output, report["boxes"], probabilities
            )
        except (OSError, ValueError) as error:
            status = 1
            report["error"] = str(error)
            print(f"{name}: {error}", file=sys.stderr)
        if options.json:
            print(json.dumps(report))
        elif "text" in report:
            if len(options.pictures) > 1:
                print(f"{name}:")
            print(report["text"])
    return status


if __name__ == "__main__":
    sys.exit(main())
