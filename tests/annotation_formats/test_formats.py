"""Each format is recognised by its content, gives back what it can hold, and says what it cannot."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extractor import annotation_formats
from extractor.annotation_formats import (
    AnnotatedText,
    AnnotationFile,
    Mention,
    Notes,
    WriteOptions,
    annotated,
    find_format,
    mentions,
    recognised,
)
from extractor.data import Json
from extractor.errors import InputError

LABELS = st.sampled_from(["手机号", "PER", "DATE", "X", "a/b", "B-"])
HAS_MSGPACK = pytest.mark.skipif(find_spec("msgpack") is None, reason="the extra spacy is not installed")
ENTITY_FORMATS = ("brat", "conll", "doccano", "label-studio", pytest.param("spacy", marks=HAS_MSGPACK))
ALPHABET = "张三，。 \n\tab1.-é😀𠮷"


@st.composite
def texts(draw: st.DrawFn) -> AnnotatedText:
    """A text with mentions that do not overlap, and that begin and end with a character that one sees."""
    text = draw(st.text(ALPHABET, min_size=1, max_size=30)) + "甲"
    edges = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    ranges = zip(edges[::2], edges[1::2], strict=False)
    visible = [(a, b) for a, b in ranges if text[a:b].strip() == text[a:b]]
    return annotated("d/一.txt", text, [Mention(draw(LABELS), span) for span in visible])


def _save(name: str, items: Iterable[AnnotatedText], folder: Path, notes: Notes | None = None) -> Path:
    """Write texts in a format; return the file or folder."""
    path = folder / f"out-{name}"
    pieces: Iterable[Any] = find_format(name).write(items, WriteOptions(notes or Notes()))
    if find_format(name).folder:
        for part, data in pieces:
            (path / part).parent.mkdir(parents=True, exist_ok=True)
            (path / part).write_bytes(data)
    else:
        path.write_bytes(b"".join(pieces))
    return path


def _load(path: Path, notes: Notes | None = None, name: str | None = None) -> list[AnnotatedText]:
    return list(annotation_formats.read(str(path), notes or Notes(), name))


def _file(path: Path, content: Json) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", [*ENTITY_FORMATS, "gold"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(item=texts())
def test_what_a_format_holds_comes_back(name: str, item: AnnotatedText, tmp_path: Path) -> None:
    path = _save(name, [item], tmp_path)
    file = AnnotationFile(str(path), str(path), 1 << 20)
    assert recognised(file).name == name
    (back,) = _load(path)
    if name == "conll":  # tokens, without white space and ids
        assert _tokens(back) == _tokens(item)
    else:
        assert (back.id, back.text, back.data, back.spans) == (item.id, item.text, item.data, item.spans)


def _tokens(item: AnnotatedText) -> list[tuple[str, str]]:
    text = item.text or ""
    found = mentions(item, Notes())
    return [(each.type, "".join(text[slice(*each.span)].split())) for each in found]


def test_utf16_offsets_are_those_of_javascript(tmp_path: Path) -> None:
    item = annotated("a", "😀甲😀乙", [Mention("X", (3, 4))])
    (task,) = json.loads(_save("label-studio", [item], tmp_path).read_text("utf-8"))
    value = task["annotations"][0]["result"][0]["value"]
    assert (value["start"], value["end"], value["text"]) == (5, 6, "乙")
    assert json.loads(_save("doccano", [item], tmp_path).read_text("utf-8"))["label"] == [[5, 6, "X"]]


def test_what_does_not_fit_is_noted_and_not_dropped_silently(tmp_path: Path) -> None:
    text = "张三丰 1,200"
    data = {"人": "张三丰", "部": "三丰", "额": 1200, "类": "买", "条": [{"名": "张三"}]}
    spans = {"/人": [(0, 3)], "/部": [(1, 3)], "/额": [(4, 9)], "/条/0/名": [(0, 2)]}
    notes = Notes()
    _save("conll", [AnnotatedText("a", text, data, spans)], tmp_path, notes)
    assert notes.counts["values without a place in the text, left out"] == 1
    assert notes.counts["values of objects, without the object that they belong to"] == 1
    assert notes.counts["values that are written differently in their text, taken as they are there"] == 1
    assert notes.counts["mentions that overlap a longer one, left out"] == 2


def test_label_studio_keeps_choices_and_scores_of_a_run(tmp_path: Path) -> None:
    item = AnnotatedText("a", "张三", {"人": "张三", "类": "买"}, {"/人": [(0, 2)]}, {"/人": 0.5, "/类": 0.9}, "demo")
    path = _save("label-studio", [item], tmp_path)
    (task,) = json.loads(path.read_text("utf-8"))
    (prediction,) = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("demo", 0.5)
    assert prediction["result"][0]["score"] == 0.5
    (back,) = _load(path)
    assert back.data == {"人": ["张三"], "类": "买"}


RESULT = {"from_name": "label", "to_name": "text", "type": "labels"}


def _region(start: int, end: int, text: str, label: str) -> Json:
    return {**RESULT, "id": label, "value": {"start": start, "end": end, "text": text, "labels": [label]}}


def test_label_studio_tasks_as_it_exports_them(tmp_path: Path) -> None:
    """Cancelled and missing annotations, several annotators, relations, a choice, a text, and a document id of ours."""
    first = {"result": [_region(0, 2, "张三", "人")], "was_cancelled": False, "updated_at": "2024-01-01T00:00:00Z"}
    later = {
        "updated_at": "2024-02-01T00:00:00Z",
        "result": [
            _region(0, 2, "张三", "姓名"),
            {"type": "choices", "from_name": "类", "to_name": "text", "value": {"choices": ["买"]}},
            {"type": "textarea", "from_name": "注", "to_name": "text", "value": {"text": ["一", "二"]}},
            {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"},
        ],
    }
    skipped = {"result": [_region(0, 1, "张", "错")], "was_cancelled": True, "updated_at": "2024-03-01T00:00:00Z"}
    tasks = [
        {"id": 7, "data": {"text": "张三", "id": "d.txt"}, "annotations": [later, first, skipped], "predictions": []},
        {"id": 8, "data": {"text": "无人"}, "annotations": []},
        {"id": 9, "data": {"body": "李四来了", "url": "x"}, "annotations": [{"result": [], "ground_truth": True}]},
    ]
    notes = Notes()
    found = _load(_file(tmp_path / "export.json", tasks), notes)
    assert [(each.id, each.text) for each in found] == [("d.txt", "张三"), ("9", "李四来了")]
    assert found[0].data == {"姓名": ["张三"], "类": "买", "注": ["一", "二"]}
    assert found[1].data == {}
    assert notes.counts == {
        "tasks with several answers, of which the ground truth or the newest counts": 1,
        "relations, left out": 1,
        "tasks that nobody has annotated, left out": 1,
    }


def test_label_studio_json_min(tmp_path: Path) -> None:
    labels = [{"start": 2, "end": 4, "text": "张三", "labels": ["人"]}]
    row = {"id": 3, "text": "😀张三", "label": labels, "类": "买", "annotator": 1, "annotation_id": 5, "lead_time": 2.5}
    (item,) = _load(_file(tmp_path / "min.json", [row]))
    assert (item.id, item.data, item.spans) == ("3", {"人": ["张三"], "类": "买"}, {"/人/0": ((1, 3),)})


@pytest.mark.parametrize(
    "row",
    [
        {"id": 1, "text": "😀张三", "label": [[2, 4, "人"]], "Comments": []},
        {
            "id": 1,
            "text": "😀张三",
            "annotations": [{"label": 2, "label_name": "人", "start_offset": 2, "end_offset": 4}],
        },
        {"id": 1, "text": "😀张三", "labels": [[2, 4, "人"]], "meta": {}, "annotation_approver": None},
        {
            "id": 1,
            "text": "😀张三",
            "entities": [{"id": 9, "label": "人", "start_offset": 2, "end_offset": 4}],
            "relations": [],
        },
    ],
)
def test_doccano_of_each_version(tmp_path: Path, row: Json) -> None:
    (item,) = _load(_file(tmp_path / "all.jsonl", row))
    assert (item.id, item.data, item.spans) == ("1", {"人": ["张三"]}, {"/人/0": ((1, 3),)})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("U.N. NNP I-NP I-ORG\nofficial NN I-NP O\n\nEkeus NNP I-NP I-PER", [{"ORG": ["U.N."]}, {"PER": ["Ekeus"]}]),
        ("张\tB-PER\n三\tI-PER\n在 \tO\n北\tB-LOC\n京\tI-LOC", [{"PER": ["张三"], "LOC": ["北京"]}]),
        ("张 B-PER\n三 M-PER\n丰 E-PER\n京 S-LOC", [{"PER": ["张三丰"], "LOC": ["京"]}]),
        ("科0\tO\n技1\tO\n张0\tB-PER.NAM\n三1\tI-PER.NAM", [{"PER.NAM": ["张三"]}]),
        ("a B-X\nb I-X\nc L-X\nd U-Y", [{"X": ["a b c"], "Y": ["d"]}]),
        ("a I-X\nb B-X\nc I-Y", [{"X": ["a", "b"], "Y": ["c"]}]),
        ("-DOCSTART- -X- O O\n\na O\n\nb O\n\n-DOCSTART- -X- O O\n\nc B-Z\r\n", [{}, {"Z": ["c"]}]),
    ],
    ids=["iob1", "bio, Chinese", "bmes", "positions", "bilou", "adjacent", "docstart"],
)
def test_conll_of_each_scheme(tmp_path: Path, lines: str, expected: Sequence[Json]) -> None:
    found = _load(_file(tmp_path / "x.conll", lines))
    assert [each.data for each in found] == expected


def test_conll_of_characters_is_put_together_without_spaces(tmp_path: Path) -> None:
    tags = ["B-DATE", *["I-DATE"] * 4, "O", "O", "B-DEGREE", *["I-DEGREE"] * 2]
    lines = [f"{character} {tag}\n" for character, tag in zip("1966年生，MBA", tags, strict=True)]
    (item,) = _load(_file(tmp_path / "x.conll", "".join(lines)))
    assert (item.text, item.data) == ("1966年生，MBA", {"DATE": ["1966年"], "DEGREE": ["MBA"]})
    assert item.spans == {"/DATE/0": ((0, 5),), "/DEGREE/0": ((7, 10),)}


def test_conll_in_gb18030(tmp_path: Path) -> None:
    text = "".join(f"{char} O\n" for char in "合同编号由甲乙双方共同保存以备查验") + "张 B-人\n三 I-人\n"
    (tmp_path / "x.txt").write_bytes(text.encode("gb18030"))
    (item,) = _load(tmp_path / "x.txt")
    assert item.data == {"人": ["张三"]}


def test_brat_with_fragments_and_other_lines(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.txt").write_bytes("张三\r\n和李四 😀 北京大学".encode())
    lines = [
        "T1\t人 0 2;4 5\t张三 和",
        "T2\t校 12 14;9 10\t大学",
        "T3\t地 10 12\t北京",
        "R1\t在 Arg1:T1 Arg2:T3",
        "#1\tAnnotatorNotes T1\t注",
        "",
    ]
    (folder / "a.ann").write_text("\n".join(lines), encoding="utf-8")
    (folder / "b.txt").write_text("没有标注", encoding="utf-8")
    notes = Notes()
    (item,) = _load(folder, notes)
    assert (item.id, item.data) == ("corpus/a.txt", {"人": ["张三\r\n和"], "地": ["北京"], "校": ["大学"]})
    assert item.spans == {"/人/0": ((0, 5),), "/地/0": ((10, 12),)}
    assert notes.counts == {
        "discontinuous ranges, taken as values without a place": 1,
        "relations of brat, left out": 1,
        "notes of brat, left out": 1,
    }
    assert _load(folder / "a.ann")[0].id == "a.txt"


@pytest.mark.parametrize("id", ["../../etc/passwd", "/abs/x", "a//b", "..", "", "甲" * 300, "x.jsonl#1", "C:\\x\0"])
def test_a_brat_file_stays_in_its_folder_whatever_the_id(tmp_path: Path, id: str) -> None:
    path = _save("brat", [annotated(id, "文", []), annotated(id, "另", [])], tmp_path)
    written = sorted(file for file in path.rglob("*") if file.is_file())
    assert len(written) == 5  # two texts, two annotations, the ids
    assert [each.text for each in _load(path)] == ["文", "另"]
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and path not in file.parents]


def test_alpaca_rows_of_others_give_document_and_answer(tmp_path: Path) -> None:
    rows = [
        {"instruction": "抽取姓名，输出JSON。", "input": "张三来了", "output": '```json\n{"姓名": "张三"}\n```'},
        {"instruction": "抽取姓名，输出JSON。", "input": "李四来了", "output": "没有"},
    ]
    notes = Notes()
    (item,) = _load(_file(tmp_path / "sft.json", rows), notes)
    assert (item.id, item.text, item.data) == ("sft.json#1", "张三来了", {"姓名": "张三"})
    assert item.spans == {"/姓名": ((0, 2),)}
    assert notes.counts == {"answers that are not a JSON object, left out": 1}


def test_the_document_is_what_differs_between_prompts(tmp_path: Path) -> None:
    rows = [
        {
            "messages": [
                {"role": "system", "content": "你是助手"},
                {"role": "user", "content": f"从下文抽取姓名。\n文本：{text}\n\n只输出JSON。"},
                {"role": "assistant", "content": json.dumps({"姓名": text[:2]}, ensure_ascii=False)},
            ]
        }
        for text in ("张三来了", "李四走了")
    ]
    found = _load(_file(tmp_path / "sft.json", rows))
    assert [(each.text, each.data) for each in found] == [
        ("张三来了", {"姓名": "张三"}),
        ("李四走了", {"姓名": "李四"}),
    ]


TASK = {"data": {"text": "张三"}, "annotations": [{"result": [_region(0, 9, "张三", "人")]}]}
HOSTILE: dict[str, tuple[str, bytes, str]] = {
    "JSON that is cut off": ("x.json", b'[{"data": {"text": "a"}, "annotations": [', "is not JSON"),
    "JSON that is not UTF-8": ("x.json", "[{'text': '张'}]".encode("gb18030"), "is not UTF-8"),
    "JSON that is deep": ("x.json", b"[" * 100_000, "is not JSON"),
    "a list of numbers": ("x.json", b"[1, 2]", "item 1 is not a JSON object"),
    "a torn line": ("x.jsonl", b'{"id": 1, "text": "ab", "label": []}\n{"id": 2, "te', "line 2 is torn"),
    "a place beyond the text": ("x.json", json.dumps([TASK]).encode(), "item 1: 0:9 should be '张三'|item 1: 人 0:9"),
    "a task without results": ("x.json", b'[{"data": {"text": "a"}, "annotations": [{}]}]', "item 1 is not a task"),
    "half a character": ("x.jsonl", '{"text": "😀", "label": [[0, 1, "X"]]}'.encode(), "line 1: .*middle of a char"),
    "an infinite place": ("x.jsonl", b'{"text": "ab", "label": [[0, Infinity, "X"]]}', "line 1: .* is not a label"),
    "a deep line": ("x.jsonl", b'{"id": 1, "data": ' + b"[" * 100_000 + b"\n", "line 1 is not JSON"),
    "a label of two": ("x.jsonl", b'{"text": "ab", "label": [[0, "X"]]}', "line 1: .* is not a label"),
    "a range backwards": ("x.jsonl", b'{"text": "ab", "label": [[2, 1, "X"]]}', "line 1: X 2:1 is not a range"),
    "a tag of no scheme": ("x.conll", b"-DOCSTART- -X- O O\n\na O\nb\n", "line 4 has no token"),
    "a DocBin that is cut off": ("x.spacy", b"", "is not a DocBin"),
    "an answer that is a list": ("x.json", b'[{"instruction": "a", "output": "[1]"}]', "no answer is a JSON object"),
    "a question without text": ("x.json", b'[{"instruction": 1, "output": "{}"}]', "item 1 is not a question"),
    "a conversation of one": ("x.json", b'[{"conversations": [{"from": "human", "value": "a"}]}]', "is not a question"),
    "a gzip that is none": ("x.json.gz", b"[]", "is damaged, or not compressed"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_broken_file_is_one_error_that_names_it(tmp_path: Path, case: str) -> None:
    name, data, message = HOSTILE[case]
    if name.endswith(".spacy"):
        pytest.importorskip("msgpack")
    path = tmp_path / name
    path.write_bytes(data or _docbin(tmp_path)[:-7])
    with pytest.raises(InputError, match=message) as raised:
        _load(path)
    assert name in str(raised.value)


def _docbin(folder: Path) -> bytes:
    return _save("spacy", [annotated("a", "张三", [Mention("人", (0, 2))])], folder).read_bytes()


@HAS_MSGPACK
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_docbin_never_ends_in_another_error(data: st.DataObject, tmp_path: Path) -> None:
    whole = bytearray(zlib.decompress(_docbin(tmp_path)))
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.spacy"
    path.write_bytes(zlib.compress(bytes(whole)))
    with contextlib.suppress(InputError):
        for item in _load(path, name="spacy"):
            assert all(
                0 <= start < end <= len(item.text or "")
                for each in mentions(item, Notes())
                for start, end in [each.span]
            )


def test_texts_of_one_id_are_files_of_their_own() -> None:
    items = [AnnotatedText(id, "张三", {}) for id in ("a", "a", "A", "a-2", "a")]
    names = [
        name for name, _ in annotation_formats.formats()["brat"].write(iter(items), WriteOptions(Notes(), None, None))
    ]
    texts = [name for name in names if name.endswith(".txt")]
    assert len({name.casefold() for name in texts}) == len(items)
    assert texts[0] == "a.txt"


def test_mentions_that_hold_more_than_fits_are_refused() -> None:
    text = "长" * 1_000_000
    with pytest.raises(InputError, match="more than 100,000,000 characters"):
        annotated("a", text, [Mention("x", (0, len(text) - at)) for at in range(101)])


def test_a_file_above_the_limit_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path / "x.json", [TASK])
    with pytest.raises(InputError, match="raise --max-bytes"):
        list(annotation_formats.read(str(path), Notes(), None, 10))


def test_a_plugin_of_the_group_is_a_format(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    own = SimpleNamespace(__name__="own", NAME="own", TITLE="own", recognises=bool, read=iter, write=iter)
    monkeypatch.setattr(annotation_formats.plugins, "modules", lambda group: [own] if "annotation" in group else [])
    annotation_formats.formats.cache_clear()
    try:
        assert list(annotation_formats.formats()) == ["own"]
    finally:
        annotation_formats.formats.cache_clear()
