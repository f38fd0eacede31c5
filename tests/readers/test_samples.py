"""The documents that ship, and the shared ones with what is known to be in them."""

import json
from pathlib import Path

import pytest

from extractor import ingest
from extractor.data import Document
from extractor.ingest import ReadOptions
from tests.readers.conftest import texts

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "samples-public" / "documents"
MANIFEST = SHARED / "manifest.jsonl"
KNOWN = [json.loads(line) for line in MANIFEST.read_text("utf-8").splitlines()] if MANIFEST.is_file() else []
TEXTS = {
    "documents/contract.pdf": "采购合同\n合同编号：HT-2024-0117\n"
    "甲方：杭州云栖科技有限公司\n乙方：上海浦江电子有限公司\n"
    "第二条 价款\n合同金额：128000.00元\n签订日期：2024年1月17日\n联系人手机号：13800138000",
    "documents/form.docx": "员工登记表\n请如实填写。\n姓名\t王小明\n手机号\t13912345678\n邮箱\twang@example.com",
    "documents/mail.eml": "From: 张三 <zhang@example.com>\nTo: li@example.com\nDate: Mon, 01 Jan 2024 08:00:00 +0800\n"
    "Subject: 会议通知\n\n各位好：\n周三上午开会，报名请联系手机号13700137000。\n\nAttachment: 议程.txt",
    "documents/mail.eml/议程.txt": "会务邮箱：meeting@example.com\n",
    "documents/memo.rtf": "备忘：客户邮箱service@example.com",
    "documents/notice.html": "停水通知\n停水通知\n物业电话：手机号13600136000",
    "documents/staff.xlsx#通讯录!2": "姓名: 张三\n手机号: 13800138001\n邮箱: zhang@example.com",
    "documents/staff.xlsx#通讯录!3": "姓名: 李四\n手机号: 13800138002\n邮箱: li@example.com",
}


def test_the_documents_that_ship_are_read_as_they_are() -> None:
    assert texts(list(ingest.read([str(ROOT / "data" / "documents")]))) == TEXTS


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known["file"])
def test_a_shared_document_holds_what_is_known_of_it(known: dict[str, object]) -> None:
    path = str(SHARED / str(known["file"]))
    whole = {"rows": "whole"} if known["format"] in ("jsonl", "csv") else {}
    found = list(ingest.read([path], ReadOptions(**whole)))  # type: ignore[arg-type]
    if known.get("expected_error"):
        assert str(known["expected_error"]) in " ".join(
            item.problem.message for item in found if not isinstance(item, Document)
        )
        found = list(ingest.read([path], ReadOptions(password=str(known["password"]))))
    text = "".join("".join(item.text for item in found if isinstance(item, Document)).split())
    wanted = known.get("expected_substrings") or [known.get("expected_substring") or known["expected_with_password"]]
    assert isinstance(wanted, list)
    assert [each for each in wanted if "".join(str(each).split()) not in text] == []


@pytest.mark.parametrize("known", [it for it in KNOWN if "expected_rows" in it], ids=lambda known: known["file"])
def test_a_shared_table_gives_its_rows(known: dict[str, object]) -> None:
    found = [item.text for item in ingest.read([str(SHARED / str(known["file"]))]) if isinstance(item, Document)]
    rows = known["expected_rows"]
    assert isinstance(rows, list)
    assert found == ["\n".join(f"{name}: {cell}" for name, cell in zip(rows[0], row, strict=True)) for row in rows[1:]]
