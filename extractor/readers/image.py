"""Pictures: what OCR reads in them, line by line; of a TIFF every page, of an animation the first frame.

Pictures are decoded by Pillow, in the six formats below and no other, and only after their size is known: a file of a
few kilobytes can hold a picture that fills the memory.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import struct
import warnings
from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

from extractor.data import Document
from extractor.readers._support import ocr
from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.limits import ReadError, damaged
from extractor.readers._support.segments import TextBuilder
from extractor.readers._support.signatures import Magic

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif")
NAME = "a picture"
SIGNATURES = (
    Magic(b"\x89PNG\r\n\x1a\n"),
    Magic(b"\xff\xd8\xff"),
    *(Magic(prefix) for prefix in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF87a", b"GIF89a")),
    Magic(b"WEBPVP8", within=8),
    # A bitmap begins with "BM", as texts may; after its offset of the pixels comes the length of one of its headers.
    *(Magic(b"\0\0" + bytes([length]) + b"\0\0\0", within=12) for length in (12, 40, 56, 108, 124)),
)
ISOLATED = True
EXTRA = "ocr"
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")
PIXELS = 80_000_000
"""Of one page: A3 at 600 dots an inch. Decoded they take 240 MB."""
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error)
"""What Pillow raises for broken files."""


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    """Yield the text of all pages as one document. Raises OSError where it cannot be opened, ReadError otherwise."""
    data = read_bytes(file, options.max_bytes)
    if options.ocr == "never":
        raise ReadError("no-text", "a picture, and OCR is off: leave out --ocr never to have it read")
    builder = TextBuilder()
    scan = ocr.Scan(builder)
    for number, picture in enumerate(_pages(data), 1):
        if number > 1:
            builder.write("\n")
        scan.add(picture, number)
    if not builder.text.strip():
        raise ReadError("no-text", "OCR found no text in the picture: leave it out, or scan it again in more detail")
    yield file.document(builder.text, sha256(data).hexdigest(), segments=builder.segments, notes=scan.notes)


def _pages(data: bytes) -> Iterator[Image]:
    """Yield the pages as they are seen, in grey or colour. Raises ReadError for one that is broken or too large."""
    with _refused_if_broken():
        picture = _opened(data)
    for index in itertools.count() if picture.format == "TIFF" else [0]:
        with _refused_if_broken():
            page = _page(picture, index)
        if page is None:
            return
        yield page


def _page(picture: Image, index: int) -> Image | None:
    """Return a page as it is seen; None after the last one."""
    try:
        picture.seek(index)
    except EOFError:
        return None
    return _as_seen(picture)


def _opened(data: bytes) -> Image:
    from PIL import Image

    return Image.open(io.BytesIO(data), formats=FORMATS)


@contextlib.contextmanager
def _refused_if_broken() -> Iterator[None]:
    """Turn what Pillow raises into a ReadError. It knows of decompression bombs, and only warns of lesser ones."""
    from PIL import UnidentifiedImageError
    from PIL.Image import DecompressionBombError, DecompressionBombWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", DecompressionBombWarning)
            yield
    except (DecompressionBombError, DecompressionBombWarning) as error:
        raise _too_many_pixels() from error
    except UnidentifiedImageError as error:
        raise damaged("picture", "its header cannot be read") from error
    except DAMAGE as error:
        raise damaged("picture", error) from error


def _too_many_pixels() -> ReadError:
    return ReadError("too-large", f"the picture has more than {PIXELS:,} pixels: make it smaller, or split it")


def _as_seen(page: Image) -> Image:
    """Return a page in grey or RGB, turned as its camera says, what is transparent in it on a ground of contrast."""
    from PIL import ImageOps

    if page.width * page.height > PIXELS:
        raise _too_many_pixels()
    page.load()
    seen = ImageOps.exif_transpose(page)
    if seen.has_transparency_data:
        return _on_ground(seen.convert("RGBA"))
    if seen.mode.startswith(("I", "F")):  # more than eight bits a pixel: the whole range of them is shown
        return _scaled_to_bytes(seen)
    return seen.convert("L" if seen.mode in ("1", "L") else "RGB")


def _on_ground(picture: Image) -> Image:
    """Return a picture without transparency: on white, or on black where what is drawn is light."""
    from PIL import Image, ImageStat

    opaque = picture.getchannel("A")
    drawn = opaque.point(lambda value: 255 if value > 127 else 0)
    is_light = drawn.getbbox() is not None and ImageStat.Stat(picture.convert("L"), drawn).mean[0] > 127
    ground = Image.new("RGB", picture.size, "black" if is_light and opaque.getextrema()[0] == 0 else "white")
    ground.paste(picture, mask=opaque)
    return ground


def _scaled_to_bytes(picture: Image) -> Image:
    import numpy
    from PIL import Image

    values = numpy.asarray(picture, dtype="float32")
    darkest, lightest = float(values.min()), float(values.max())
    return Image.fromarray(((values - darkest) * (255 / max(1e-9, lightest - darkest))).astype("uint8"))
