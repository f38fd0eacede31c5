"""OCR: what is printed in a picture, line by line, by RapidOCR and the models of PaddleOCR that its wheel holds.

There is one engine in a process, made for its first picture, and it takes one thread: reader processes are as many as
processors. Nothing is downloaded, nothing is written. Knows pictures; knows no files and no formats.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from extractor.readers._support import time_limit
from extractor.readers._support.files import ReadOptions
from extractor.readers._support.limits import ReadError
from extractor.readers._support.notes import named_pages
from extractor.readers._support.reading_order import Box, rows_of
from extractor.readers._support.segments import TextBuilder

if TYPE_CHECKING:
    from PIL.Image import Image
    from rapidocr.main import RapidOCR
    from rapidocr.utils.output import RapidOCROutput

PACKAGES = ("rapidocr", "onnxruntime")
INSTALL = "pip install 'chatglm3-extractor[ocr]'"

MOST_PAGES = 1000
"""Pages of a document that are read. Each has the time limit for itself, so their number is limited as well."""
PICTURE_SIDE = 2400
"""Longest side in pixels of what is recognised: A4 at 200 dots an inch, at which 6-point type is 17 pixels high."""
DETECTION_SIDE = 1280
"""Longest side in pixels at which lines are looked for; at 2000 no more of them are found, in twice the time."""
READABLE = 0.5
"""Confidence of a line below which it is left out: specks, stamps and ornaments."""
DOUBTFUL = 0.75
"""Mean confidence below which a page may be upside down."""
TALL = 1.5
"""Height to width of a box that holds a line from top to bottom."""
SIDEWAYS = 0.9
"""What reading a page on its side counts, against reading it upright."""
LONG = 5
"""Width to height of a line that says how a page is askew."""
CELL_GAP = 1.5
"""Heights of a line between two pieces of it that are cells of a table, not words of a sentence."""
SAME_COLOUR = 16
"""Difference of the darkest and the lightest pixel of a picture without anything in it."""

Turn: TypeAlias = Literal[0, 90, 180, 270]


def is_installed() -> bool:
    """Return whether the packages of the extra are there. Imports none."""
    return all(find_spec(name) is not None for name in PACKAGES)


def is_on(options: ReadOptions) -> bool:
    """Return whether pictures are read."""
    return options.ocr == "always" or (options.ocr == "auto" and is_installed())


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, or what of it stands apart, such as a cell; where it is, in pixels; and how sure it is (0 to 1).

    `slope` is how far it goes down for each pixel to the right; `before` is what parts it from the text before it.
    """

    text: str
    box: Box
    confidence: float
    slope: float = 0.0
    before: str = ""

    @property
    def width(self) -> float:
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]

    @property
    def is_tall(self) -> bool:
        return len(self.text) > 1 and self.height > TALL * self.width


@dataclass(slots=True)
class Scan:
    """What OCR has read of a document so far: the numbers of its pages, and how many lines were too doubtful."""

    builder: TextBuilder
    pages: list[int] = field(default_factory=list)
    left_out: int = 0
    _tried: int = 0

    def add(self, picture: Image, number: int, scale: float = 1.0) -> None:
        """Read a page and add its text, the boxes of its lines times `scale`. Raises ReadError above the most pages."""
        self._tried += 1
        if self._tried > MOST_PAGES:
            raise ReadError("too-large", f"more than {MOST_PAGES:,} pages to be read by OCR: split the document")
        page = read(picture)
        page.write(self.builder, number, scale)
        self.pages += [number] if page.lines else []
        self.left_out += page.left_out

    @property
    def notes(self) -> list[str]:
        """What is to be said about it (`Source.notes`)."""
        read = f"read by OCR: {named_pages(self.pages)}"
        left_out = f"left out: {self.left_out} {'line' if self.left_out == 1 else 'lines'} that OCR could not read"
        return [note for note, count in ((read, len(self.pages)), (left_out, self.left_out)) if count]


@dataclass(frozen=True, slots=True)
class Page:
    """What a picture holds: its lines in the order of reading, and how many more were too doubtful to keep."""

    lines: tuple[Line, ...] = ()
    left_out: int = 0

    def write(self, builder: TextBuilder, number: int, scale: float = 1.0) -> None:
        """Add the text to a document's, each line a segment with its page, its confidence, and its box times `scale`.

        A page without text is a segment without text.
        """
        if not self.lines:
            builder.add("", {"page": number, "text": False})
        for line in self.lines:
            builder.write(line.before)
            box = [round(each * scale) for each in line.box]
            builder.add(line.text, {"page": number, "box": box, "ocr": round(line.confidence, 3)})


def read(picture: Image) -> Page:
    """Return what is printed in a picture (mode RGB or L), whichever way up, and give it a time limit of its own.

    Raises ReadError without the extra.
    """
    import numpy

    time_limit.OF_PROCESS.restart()

    shown, factor = _within(picture, PICTURE_SIDE)
    if numpy.ptp(numpy.asarray(shown.convert("L"))) < SAME_COLOUR:
        return Page()
    engine = _engine()
    found = _Attempt.of(engine, shown, 0)
    others = (_Attempt.of(engine, shown, turn) for turn in found.other_turns)
    best = max((found, *others), key=lambda each: each.score * (SIDEWAYS if each.is_sideways else 1))
    kept = [line for line in best.lines if line.confidence >= READABLE]
    if not any(character.isalnum() for line in kept for character in line.text):
        return Page()  # a drawing, of which a square or a dash has been taken for text
    back = functools.partial(_turned_back, turn=best.turn, width=shown.width, height=shown.height, factor=factor)
    return Page(tuple(map(back, _in_order(kept))), len(best.lines) - len(kept))


def _in_order(lines: Sequence[Line]) -> Iterator[Line]:
    """Yield lines in the order of reading, with what parts each from the one before."""
    slope = median([line.slope for line in lines if line.width > LONG * line.height] or [0.0])
    for number, row in enumerate(rows_of([_straightened(line, math.atan(slope)) for line in lines])):
        cells = [lines[index] for index in row]
        yield replace(cells[0], before="\n" if number else "")
        for left, right in itertools.pairwise(cells):
            gap = right.box[0] - left.box[2]
            yield replace(right, before="\t" if gap > CELL_GAP * min(left.height, right.height) else " ")


def advice(options: ReadOptions) -> str:
    """Return what to do about pages without a text that is read."""
    if options.ocr == "never":
        return "OCR is off: leave out --ocr never to have them read"
    return "OCR found none either: leave it out, or scan it again" if is_installed() else f"to read them: {INSTALL}"


@functools.cache
def _engine() -> RapidOCR:
    """Return the engine of this process. Its models are named by path, because by their names it may download them."""
    try:
        import cv2
        import onnxruntime  # noqa: F401  # RapidOCR tells that it is missing in a way of its own
        from rapidocr import main
    except ModuleNotFoundError as error:
        raise ReadError("extra", f"reading pictures needs the package {error.name}: {INSTALL}") from error
    cv2.setNumThreads(1)
    models = Path(main.__file__).parent / "models"
    return main.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.text_score": 0.0,  # what is left out is counted here
            "Global.max_side_len": PICTURE_SIDE,
            "Global.use_cls": False,  # it turns single lines of a page upside down, long ones above all
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "Det.model_path": str(models / "PP-OCRv6_det_small.onnx"),
            "Det.limit_type": "max",
            "Det.limit_side_len": DETECTION_SIDE,
            "Rec.model_path": str(models / "PP-OCRv6_rec_small.onnx"),
            "Rec.rec_batch_num": 1,  # on one thread a batch is no faster, and takes more memory and time for padding
        }
    )


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The lines of a picture that was turned counterclockwise by so many degrees before."""

    turn: Turn
    lines: tuple[Line, ...]

    @classmethod
    def of(cls, engine: RapidOCR, picture: Image, turn: Turn) -> _Attempt:
        """Recognise the lines."""
        import numpy

        array = numpy.rot90(numpy.asarray(picture.convert("RGB"))[:, :, ::-1], turn // 90)  # as OpenCV has it: BGR
        found = cast("RapidOCROutput", engine(numpy.ascontiguousarray(array)))
        if found.boxes is None or found.txts is None or found.scores is None:
            return cls(turn, ())
        places = map(_place, found.boxes.tolist())
        lines = zip(found.txts, places, found.scores, strict=True)
        return cls(turn, tuple(Line(" ".join(text.split()), box, score, slope) for text, (box, slope), score in lines))

    @property
    def score(self) -> float:
        """How much is read for sure: upside down, fewer characters are seen and all are doubtful."""
        return sum(line.confidence * len(line.text) for line in self.lines)

    @property
    def is_sideways(self) -> bool:
        """Whether most of it goes from top to bottom."""
        return 2 * sum(len(line.text) for line in self.lines if line.is_tall) > self._characters

    @property
    def _characters(self) -> int:
        return sum(len(line.text) for line in self.lines)

    @property
    def other_turns(self) -> tuple[Turn, ...]:
        """The turns that may read better. A line from top to bottom has been read turned counterclockwise."""
        is_sure = self.score >= DOUBTFUL * self._characters
        if self.is_sideways:
            return (90,) if is_sure else (90, 270)
        return () if is_sure else (180,)


def _place(corners: Sequence[Sequence[float]]) -> tuple[Box, float]:
    """Return the box around four corners (clockwise from the top left), and its slope."""
    across, down = zip(*corners, strict=True)
    (left, top), (right, bottom) = corners[0], corners[1]
    slope = (bottom - top) / (right - left) if right > left else 0.0
    return (min(across), min(down), max(across), max(down)), slope


def _straightened(line: Line, angle: float) -> Box:
    """Return the box of a line as it would be on a page that is not askew by an angle (radians)."""
    left, top, right, bottom = line.box
    across, down = (left + right) / 2, (top + bottom) / 2
    across, down = across * math.cos(angle) + down * math.sin(angle), down * math.cos(angle) - across * math.sin(angle)
    # The box around a line that slopes is too high by what it goes down.
    height = max(1.0, line.height - line.width * abs(math.tan(angle)))
    return across - line.width / 2, down - height / 2, across + line.width / 2, down + height / 2


def _turned_back(line: Line, turn: Turn, width: int, height: int, factor: float) -> Line:
    """Return a line with its box in the picture (width by height) before it was turned and made smaller."""
    left, top, right, bottom = line.box
    box = {
        0: (left, top, right, bottom),
        90: (width - bottom, left, width - top, right),
        180: (width - right, height - bottom, width - left, height - top),
        270: (top, height - right, bottom, height - left),
    }[turn]
    left, top, right, bottom = (each * factor for each in box)
    return replace(line, box=(left, top, right, bottom))


def _within(picture: Image, side: int) -> tuple[Image, float]:
    """Return the picture with no side above a length in pixels, and what it was divided by."""
    factor = max(picture.size) / side
    if factor <= 1:
        return picture, 1.0
    size = max(1, round(picture.width / factor)), max(1, round(picture.height / factor))
    return picture.resize(size, reducing_gap=2.0), factor
