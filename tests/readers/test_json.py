"""JSON: objects and lists of them as documents."""

import json

import pytest

from tests.readers.conftest import Read, failure, only, texts


def test_a_list_gives_a_document_for_each_of_its_items(read: Read) -> None:
    items = [{"id": "甲", "text": "一"}, {"text": "二"}, {"text": 3}, "四", 5, {"text": " "}]
    assert texts(read("a.json", json.dumps(items))) == {
        "甲": "一",
        "a.json#2": "二",
        "a.json#3": "!malformed",
        "a.json#4": "四",
        "a.json#5": "!malformed",
        "a.json#6": "!empty",
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_an_object_is_one_document_with_the_name_of_its_file_as_id(read: Read, encoding: str) -> None:
    content = json.dumps({"content": "正文在这里", "key": "k"}, ensure_ascii=False, indent=2)
    document = only(read("a.json", content.encode(encoding), text_field="content"))
    assert (document.id, document.text, document.source.path) == ("a.json", "正文在这里", "a.json")
    assert only(read("a.json", content.encode(encoding), text_field="content", id_field="key")).id == "k"


def test_json_lines_in_a_json_file_are_read_as_json_lines(read: Read) -> None:
    assert texts(read("a.json", '{"text": "一"}\n{"text": "二"}\n')) == {"a.json#1": "一", "a.json#2": "二"}


def test_a_file_can_be_one_document_as_it_is(read: Read) -> None:
    assert only(read("a.json", '{"a": [1]}', rows="whole")).text == '{"a": [1]}'


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ('{"a": 1}', "malformed", "--text-field"),
        ('{"a": ', "malformed", "--rows whole"),
        ("[" * 100_000, "malformed", "nested"),
        (" ", "empty", "empty"),
        ("7", "malformed", "a number"),
        ("<html><body></body></html>", "mislabelled", "an HTML page"),
    ],
)
def test_the_problem_says_what_cannot_be_read(read: Read, content: str, code: str, words: str) -> None:
    failed = failure(read("a.json", content))
    assert failed.code == code
    assert words in failed.message


def test_a_list_without_items_holds_no_document(read: Read) -> None:
    assert read("a.json", " [ ]\n") == []
