"""Read the handwritten digits in pictures, row by row, with a network trained on MNIST.

    python read_digits.py page.jpg

prints the digits and writes page.digits.png, the picture with a box and the answer at
each digit. In Python, use find_digits and read_digits.
"""

import argparse
import importlib
import io
import json
import os
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps, PngImagePlugin
from scipy import ndimage

MODEL = Path(__file__).with_name("artifacts") / "CNN.keras"
MAKE_MODEL = (
    "jupyter nbconvert --config nbconvert_config.py --execute --to html "
    "Handwritten_Digits_Classifier.ipynb"
)
NEIGHBOURS = np.ones((3, 3))  # pixels that touch at a corner belong together


def open_picture(image):
    """Return what find_digits accepts as a PIL image, RGBA, upright as EXIF says."""
    if isinstance(image, (str, os.PathLike)):
        if Path(image).is_dir():
            raise ValueError(f"{image} is a folder: name a picture in it.")
        if not Path(image).exists():
            raise FileNotFoundError(f"There is no file {image}.")
        image = Path(image).read_bytes()
    elif hasattr(image, "read"):
        image = image.read()
    if isinstance(image, (bytes, bytearray, memoryview)):
        content = bytes(image)
        advice = "it is no picture, or a damaged one. Save it as PNG or JPEG once more."
        try:
            if content[4:11] in (b"ftyphei", b"ftyphev", b"ftypmif"):
                advice = "it is HEIC. Save it as JPEG, or pip install pillow-heif."
                importlib.import_module("pillow_heif").register_heif_opener()
            image = Image.open(io.BytesIO(content))
            image.load()
        except Exception as error:  # Pillow raises many kinds
            raise ValueError(f"This picture can't be read: {advice}") from error
    if not isinstance(image, Image.Image) or image.mode[0] in "IF":
        image = convert_array(np.asarray(image))
    return ImageOps.exif_transpose(image).convert("RGBA")


def convert_array(values):
    """Return an array as a PIL image, its values stretched to 0 to 255."""
    shape = values.shape
    values = np.atleast_3d(values[0] if shape[:1] == (1,) else values)
    is_picture = shape and values.shape[2:] in ((1,), (3,), (4,))
    if not is_picture or min(values.shape[:2]) < 3 or values.dtype.kind not in "buif":
        raise ValueError(
            f"An array of {values.dtype} of shape {shape} is no picture. Pass numbers, "
            "one picture at a time, of shape (h, w), (h, w, 1), (h, w, 3) or (h, w, 4)."
        )
    if not np.isfinite(values).all():
        raise ValueError("This array holds values that are infinite, or no numbers.")
    colours, opacity = np.split(values.astype("float64"), [3], axis=2)
    colours = colours - colours.min()
    colours = colours / max(colours.max(), 1e-300) * np.ones(3)
    opacity = opacity / max(opacity.max(initial=0), 1e-300)
    pixels = 255 * np.concatenate([colours, opacity], axis=2)
    return Image.fromarray(pixels.round().astype("uint8"))


def convert_to_grey(picture):
    """Return a PIL image's greys, float32 (h, w), 0 for black to 1 for white."""
    grey = np.asarray(picture.convert("RGB").convert("L"), "float32") / 255
    opacity = np.asarray(picture.getchannel("A"), "float32") / 255
    visible = opacity > 0.5
    if opacity.min() == 1 or not visible.any():
        return grey
    has_one_colour = np.ptp(np.quantile(grey[visible], [0.05, 0.95])) < 0.1
    if has_one_colour or not is_sheet(visible):
        return 1 - opacity  # all that can be seen is the ink
    return np.where(opacity < 0.9, np.median(grey[visible]), grey)


def border(values):
    """Return the values (h, w) along the four edges, one after the other."""
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def remove_shade(grey):
    """Return the share of light, (h, w), that ink takes away in a photograph.

    A closing fills dark lines narrower than a fifth of the picture and leaves the
    paper, with shadows, which are wider.
    """
    size = max(grey.shape) // 5
    smooth = ndimage.gaussian_filter(grey, 1)
    wider = np.pad(smooth, size, "reflect", reflect_type="odd")
    paper = ndimage.grey_closing(wider, size)[size:-size, size:-size]
    return np.clip(1 - smooth / np.maximum(paper, 0.05), 0, 1)


def is_sheet(light):
    """Say whether a mask's largest piece is paper: a fifth of it all, and solid."""
    labels, _ = ndimage.label(light)
    sizes = np.bincount(labels[light], minlength=2)
    rows, columns = ndimage.find_objects(labels)[sizes.argmax() - 1]
    box = (rows.stop - rows.start) * (columns.stop - columns.start)
    return sizes.max() > max(0.2 * light.size, 0.65 * box)


def find_ink(grey, is_photo):
    """Return arrays (h, w), 0 for paper and more for ink, the likeliest first."""
    dark = grey <= (grey.min() + grey.max()) / 2
    if dark.all():
        return []  # blank
    dark_share = border(dark).mean()
    is_board = dark_share > 0.5
    if max(grey.shape) > 100 and is_sheet(~dark):
        is_board = False  # wherever it lies
    elif is_photo:
        # A shadow may cover half of a sheet; only a board is dark nearly all over.
        is_board = max(np.median(grey), np.quantile(border(grey), 0.8)) < 0.45
    elif 0.3 < dark_share < 0.7:
        # Cropped to its ink, a digit cuts the paper into pieces and stays one itself.
        dark_pieces = np.unique(border(ndimage.label(dark, NEIGHBOURS)[0])).size
        light_pieces = np.unique(border(ndimage.label(~dark, NEIGHBOURS)[0])).size
        is_board = dark_pieces > light_pieces
    if not is_photo and is_board:
        return [grey - grey.min(), grey.max() - grey]
    if not is_photo:
        return [grey.max() - grey, grey - grey.min()]
    if is_board:
        return [remove_shade(1 - grey), remove_shade(grey)]
    return [remove_shade(grey)]  # what is lighter than paper is a reflection


def find_thresholds(ink):
    """Return the thresholds to try, ink being above them: two, one, or none.

    The first is half way between the means of the two classes that it makes, as Otsu's
    is (IEEE Trans. SMC 9, 1979), but finds one digit on much paper, too. The second,
    two fifths of the strongest ink, is for pale lines on the paper.
    """
    if ink.max() == 0:
        return []
    threshold = ink.max() / 2
    for _ in range(10):
        above = ink > threshold
        threshold = (ink[above].mean() + ink[~above].mean()) / 2
    return [threshold, max(threshold, 0.4 * ink.max())]


def remove_lines(mask):
    """Return a mask (h, w) without ruled lines, but with the ink that crosses them."""
    reach = max(1, max(mask.shape) // 300)  # lets lines be crooked and have small gaps
    wide = mask.astype("uint8")
    wide = ndimage.grey_dilation(wide, (2 * reach + 1, 2 * reach + 1))
    rest = mask.copy()
    for runs_of, view in ((wide, rest), (wide.T, rest.T)):
        runs = ndimage.grey_opening(runs_of, (1, runs_of.shape[1] // 6))
        labels, _ = ndimage.label(runs, NEIGHBOURS)
        for label, box in enumerate(ndimage.find_objects(labels), start=1):
            line = labels[box] == label
            length = line.shape[1]
            is_thin = line.sum() / length < max(mask.shape) / 25
            if is_thin and length > 0.75 * runs.shape[1]:
                view[box][line] = False
    size = max(mask.shape) // 40
    bridged = ndimage.grey_closing(rest.astype("uint8"), (size, size))
    return mask & (bridged > 0)


def find_pieces(mask, is_photo):
    """Return labels (h, w) of the pieces that may belong to a digit, 0 elsewhere."""
    labels, count = ndimage.label(mask, NEIGHBOURS)
    if count > 3000:
        return np.zeros_like(labels)  # noise, or the dots of print
    boxes = ndimage.find_objects(labels)
    heights = np.array([0] + [rows.stop - rows.start for rows, _ in boxes])
    for label, box in enumerate(boxes, start=1):
        own = labels[box] == label
        holes = ndimage.binary_fill_holes(own) & ~own
        # A frame, a ring or a table has something in its hole that is no speck.
        if (heights[labels[box][holes]] >= max(5, len(own) / 20)).any():
            labels[box][own] = 0
    on_edge = np.isin(labels, border(labels)) & (labels > 0)
    inside = (labels > 0) & ~on_edge
    # What a photograph's edge cuts is seldom a digit, unless nothing else is there.
    small = heights[labels] < len(mask) / 2
    if is_photo and inside.any():
        labels[on_edge] = 0
    elif is_photo or not inside.any():
        labels[on_edge & small] = 0
    return ndimage.label(labels > 0, NEIGHBOURS)[0]


def find_boxes(labels):
    """Return the box (left, top, right, bottom) of each label from 1 on, (n, 4)."""
    boxes = []
    for rows, columns in ndimage.find_objects(labels):
        boxes.append((columns.start, rows.start, columns.stop, rows.stop))
    return np.array(boxes).reshape(-1, 4)


def group_pieces(labels):
    """Return labels (h, w) from 1 on, the same for all pieces of a digit, and 0."""
    heights = np.append(0, np.ptp(find_boxes(labels)[:, 1::2], axis=1))
    typical = np.median(heights[labels[labels > 0]])
    # A pen that slips leaves gaps narrower than a twenty-fifth of a digit.
    size = 2 * int(typical / 50) + 1
    near = ndimage.grey_dilation((labels > 0).astype("uint8"), (size, size))
    labels = ndimage.label(near, NEIGHBOURS)[0] * (labels > 0)
    boxes = find_boxes(labels)
    one_digit = max(labels.shape) <= 32  # MNIST's have 28 pixels a side, USPS' 16
    digits = []
    owner = np.zeros(len(boxes) + 1, int)
    for label in np.argsort(boxes[:, 1] - boxes[:, 3]) + 1:  # the tallest first
        left, top, right, bottom = boxes[label - 1]
        if max(right - left, bottom - top) <= typical / 6:
            continue  # a speck or a dot
        owner[label] = label
        for digit in digits:
            its_left, its_top, its_right, its_bottom = boxes[digit - 1]
            shared = min(right, its_right) - max(left, its_left)
            narrower = min(right - left, its_right - its_left)
            height = max(bottom, its_bottom) - min(top, its_top)
            if one_digit or (shared >= 0.4 * narrower and height < 1.75 * typical):
                owner[label] = digit
        is_flat = right - left > 2.5 * (bottom - top)
        if owner[label] == label and (bottom - top < 0.35 * typical or is_flat):
            owner[label] = 0  # a hyphen, or what is left of a line
        elif owner[label] == label:
            digits.append(label)
    _, numbers = np.unique(owner, return_inverse=True)
    return numbers[labels]


def sort_rows(boxes):
    """Return rows from top to bottom, each the boxes' indices from left to right."""
    rows = []
    for index in np.argsort(boxes[:, 0]):
        _, top, _, bottom = boxes[index]
        home = []
        for row in rows:
            _, last_top, _, last_bottom = boxes[row[-1]]
            shared = min(bottom, last_bottom) - max(top, last_top)
            if shared > 0.4 * min(bottom - top, last_bottom - last_top):
                home = row
        if not home:
            rows.append(home)
        home.append(index)
    return sorted(rows, key=lambda row: boxes[row, 1].mean())


def resize(values, longest):
    """Return an array (h, w) with its longer side as given."""
    scale = longest / max(values.shape)
    size = [max(1, round(scale * side)) for side in values.shape[::-1]]
    return np.asarray(Image.fromarray(values.astype("float32")).resize(size)).clip(0)


def prepare_digit(ink, threshold):
    """Return one digit's ink (h, w) as MNIST has it: (28, 28), 0 paper to 1 ink.

    Fitted into 20 x 20 pixels, its centre of mass in the middle (LeCun et al.,
    Proceedings of the IEEE, 1998), its strokes 2.5 to 4 pixels wide, as MNIST's are.
    """
    ink = np.pad(resize(np.pad(ink, 1), 120), 30)
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


def find_rows(ink, threshold, is_photo):
    """Return the rows of find_digits in ink (h, w), boxes in its own pixels."""
    mask = ink > threshold
    spread = np.sqrt((ink[mask].var() + ink[~mask].var()) / 2)
    if ink[mask].mean() - ink[~mask].mean() < 3.2 * spread:
        return []  # ink and paper differ no more than they vary: noise
    if is_photo and threshold < 0.04:
        return []  # it takes less than a twelfth of the light: a shade, no ink
    if max(mask.shape) > 100:
        mask = remove_lines(mask)
    labels = find_pieces(mask, is_photo)
    if not labels.any():
        return []
    digits = group_pieces(labels)
    boxes = find_boxes(digits)
    rows = []
    for indices in sort_rows(boxes):
        row = []
        for index in indices:
            left, top, right, bottom = boxes[index]
            own = digits[top:bottom, left:right] == index + 1
            near = ndimage.binary_dilation(own, NEIGHBOURS)
            digit = prepare_digit(ink[top:bottom, left:right] * near, threshold)
            # No digit fills its box, but reflections do; MNIST's have at most 203 of
            # these pixels.
            is_wide = right - left > 0.45 * (bottom - top)
            is_solid = max(mask.shape) > 32 and is_wide and own.mean() > 0.75
            if not is_solid and np.sum(digit > 0.5) < 220:
                row.append((boxes[index], digit))
        if row:
            rows.append(row)
    return rows


def find_digits(image):
    """Find the digits in a picture, row by row.

    image: a file's name, Path, bytes, an open file, a PIL image, or an array (h, w),
    (1, h, w) or (h, w, c) or (1, h, w, c), c = 1, 3 or 4, values in any range.
    Returns a list of rows, each a list of (box, digit): left, top, right, bottom in the
    picture's pixels, turned upright as EXIF says; (28, 28), 0 for paper to 1 for ink.
    Raises ValueError for what is no picture, and where there is no digit, and
    FileNotFoundError.
    """
    picture = open_picture(image)
    width = picture.width
    picture.thumbnail((2000, 2000))
    scale = width / picture.width
    grey = convert_to_grey(picture)
    low, high = grey.min(), grey.max()
    # A drawing is nearly all ink and paper, and small pictures show no shadows.
    between = (grey > 0.9 * low + 0.1 * high) & (grey < 0.1 * low + 0.9 * high)
    is_photo = max(grey.shape) > 100 and between.mean() > 0.1
    rows = []
    for ink in find_ink(grey, is_photo):
        for threshold in find_thresholds(ink):
            if not rows:
                rows = find_rows(ink, threshold, is_photo)
    if not rows:
        raise ValueError("There is no digit in this picture, or none that stands out.")
    for row in rows:
        for index, (box, digit) in enumerate(row):
            row[index] = (tuple(int(round(side)) for side in scale * box), digit)
    return rows


def read_digits(image, model):
    """Read the digits in a picture: see find_digits for what is accepted and raised.

    model: a Keras model that returns ten probabilities for an image (28, 28), 0 to 1.
    Returns the text, a line for each row, and the probabilities, (n, 10).
    """
    return read_rows(find_digits(image), model)


def read_rows(rows, model):
    """Return the text and the probabilities (n, 10) for what find_digits returns."""
    images = np.array([digit for _, digit in sum(rows, [])])
    images = images.reshape(-1, *model.input_shape[1:])
    probabilities = model.predict(images, verbose=0)
    answers = "".join(probabilities.argmax(axis=1).astype(str))
    ends = np.cumsum([len(row) for row in rows])
    lines = [answers[end - len(row) : end] for end, row in zip(ends, rows, strict=True)]
    return "\n".join(lines), probabilities


def load_model(path):
    """Return the Keras model at a path. Errors say which command makes one."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"There is no trained model at {path}. Make one: {MAKE_MODEL}")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # slower with a graphics card
    # TensorFlow's C++ writes to stderr while it starts, whatever the level of its log.
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        import keras
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # pages of it, where another version saved the model
        with zipfile.ZipFile(path) as archive:
            version = json.loads(archive.read("metadata.json"))["keras_version"]
        raise ValueError(
            f"Keras {version} saved {path}, and Keras {keras.__version__}, which is "
            f"installed here, can't load it: upgrade Keras, or train anew: {MAKE_MODEL}"
        ) from error


def write_picture(name, folder, boxes, probabilities):
    """Write a picture with a box and the answer at each digit, and return its path.

    Blue, or orange with a question mark where the model is less than 90 % sure.
    """
    path = Path(folder or Path(name).parent) / f"{Path(name).stem}.digits.png"
    origin = zlib.crc32(str(Path(name).resolve()).encode())
    comment = f"read_digits.py, picture {origin}"
    if path.exists() and Image.open(path).info.get("Comment") != comment:
        raise FileExistsError(
            f"{path} is not from this picture: move it, or name a folder with --output."
        )
    picture = open_picture(name)
    page = Image.new("RGB", picture.size, "white")
    page.paste(picture, mask=picture)
    draw = ImageDraw.Draw(page)
    for (left, top, right, bottom), chances in zip(boxes, probabilities, strict=True):
        is_sure = chances.max() >= 0.9
        colour = "#0072b2" if is_sure else "#d55e00"
        answer = f"{chances.argmax()}" if is_sure else f"{chances.argmax()}?"
        size = max(8, (bottom - top) // 3)
        line = max(1, size // 16)
        frame = (left - 2 * line, top - 2 * line, right + 2 * line, bottom + 2 * line)
        draw.rectangle(frame, outline=colour, width=line)
        draw.text((left, max(size, top)), answer, colour, font_size=size, anchor="lb")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", comment)
    page.save(path, pnginfo=text)
    return path


def main(arguments=None):
    """Read the pictures that the command line names, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pictures", nargs="+", help="files: PNG, JPEG, ...")
    parser.add_argument("--model", default=MODEL, help="a .keras file [%(default)s]")
    parser.add_argument("--output", help="a folder for the pictures with the answers")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    options = parser.parse_args(arguments)
    model = None
    reports = []
    failed = False
    for name in options.pictures:
        report = {"file": name}
        reports.append(report)
        try:
            rows = find_digits(name)
            if model is None:
                model = load_model(options.model)
            text, probabilities = read_rows(rows, model)
            boxes = [box for box, _ in sum(rows, [])]
            report["text"] = text
            report["digits"] = []
            for box, chances in zip(boxes, probabilities, strict=True):
                digit = {"digit": int(chances.argmax()), "box": box}
                digit["probabilities"] = chances.tolist()
                report["digits"].append(digit)
            path = write_picture(name, options.output, boxes, probabilities)
            report["picture"] = str(path)
        except (OSError, ValueError, KeyError) as error:
            failed = True
            report["error"] = str(error)
            print(f"{name}: {error}", file=sys.stderr)
        if "text" in report and not options.json:
            if len(options.pictures) > 1:
                print(f"{name}:")
            print(report["text"])
    if options.json:
        print(json.dumps(reports))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
