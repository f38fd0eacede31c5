"""Mail: headers, text and attachments, in the encodings that mail comes in."""

from base64 import b64encode
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path

from extractor import ingest
from extractor.data import Document
from tests.readers.conftest import Read, failure, locations, only, read_all, texts
from tests.readers.making import mail, pdf, word, zipped
from tests.readers.texts import TEXTS, USUAL

RAW = b"From: a@example.com\r\nMessage-ID: <1@x>\r\n"


def test_a_mail_is_its_headers_and_its_text_each_with_its_location(read: Read) -> None:
    document = only(read("a.eml", bytes(mail("合同确认", "您好：\n手机号18888888888\n"))))
    assert document.text == (
        "From: 张三 <zhang@example.com>\nTo: li@example.com\nDate: Mon, 01 Jan 2024 08:00:00 +0800\nSubject: 合同确认\n"
        "\n您好：\n手机号18888888888"
    )
    assert locations(document)[3:] == [
        ("合同确认", {"part": "header", "header": "Subject"}),
        ("您好：\n手机号18888888888", {"part": "1", "type": "text/plain"}),
    ]


def test_attachments_are_listed_and_read_as_documents_of_their_own(read: Read) -> None:
    message = mail("附件", "见附件", {"合同.pdf": pdf(["甲方"]), "说明.docx": word("乙方"), "a/b.txt": "丙方".encode()})
    found = texts(read("mail.eml", bytes(message)))
    assert list(found) == ["mail.eml", "mail.eml/合同.pdf", "mail.eml/说明.docx", "mail.eml/a_b.txt"]
    assert found["mail.eml"].endswith("Attachment: 合同.pdf\nAttachment: 说明.docx\nAttachment: a_b.txt")
    assert list(found.values())[1:] == ["甲方", "乙方", "丙方"]


def test_attachments_of_one_name_stay_apart_and_one_that_cannot_be_read_is_a_failure(read: Read) -> None:
    message = mail("x", "y", {"a.txt": "一".encode()})
    message.add_attachment(b"\x00\x01\x02" * 50, maintype="application", subtype="octet-stream", filename="a.txt")
    assert list(texts(read("m.eml", bytes(message))).values())[1:] == ["一", "!binary"]
    assert [item.id for item in read("m.eml", bytes(message))][1:] == ["m.eml/a.txt", "m.eml/a (2).txt"]


def test_a_mail_in_a_mail_is_a_document_with_its_attachments(read: Read) -> None:
    outer = mail("外", "外文")
    outer.add_attachment(mail("内", "内文", {"表.csv": "姓名,电话\n张三,138\n".encode()}))
    found = texts(read("m.eml", bytes(outer)))
    assert list(found) == ["m.eml", "m.eml/part 2.eml", "m.eml/part 2.eml/表.csv#2"]
    assert "Subject: 内\n\n内文" in found["m.eml/part 2.eml"]


def test_of_two_forms_the_plain_one_is_the_text_and_html_is_read_as_it_looks(read: Read) -> None:
    both = mail("x", "纯文本")
    both.add_alternative("<p>HTML</p>", subtype="html")
    assert "纯文本" in only(read("a.eml", bytes(both))).text
    assert "HTML" not in only(read("a.eml", bytes(both))).text
    alone = EmailMessage()
    alone["From"] = "a@example.com"
    alone.set_content("<p>第一<b>段</b><p>第二段<script>x</script>", subtype="html", charset="gb18030", cte="base64")
    document = only(read("b.eml", bytes(alone)))
    assert document.text == "From: a@example.com\n\n第一段\n第二段"
    assert locations(document)[-1] == ("第一段\n第二段", {"part": "1", "type": "text/html"})


def test_pictures_in_the_text_are_listed_and_are_not_documents(read: Read) -> None:
    message = mail("x", "见图")
    message.add_related(b"\x89PNG\r\n\x1a\n", "image", "png", cid="<logo>", filename="logo.png")
    assert only(read("a.eml", bytes(message))).text.endswith("见图\n\nAttachment: logo.png")


def test_what_holds_no_text_is_named_once_in_a_note_and_a_document_that_cannot_be_read_is_a_failure(read: Read) -> None:
    files = {"a.png": b"\x89PNG\r\n\x1a\n", "b.JPG": b"\xff\xd8\xff", "c.mp3": b"ID3", "d.txt": b"text"}
    message = mail("x", "y")
    message.add_related(b"\x89PNG\r\n\x1a\n", "image", "png", cid="<logo>", filename="logo.png")
    for name, data in (files | {"e.pdf": pdf(["z"], password="secret")}).items():
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    document, *others = read("m.eml", bytes(message), ocr="never")
    assert document.source.notes[0].startswith(
        "left out: 3 pictures (logo.png, a.png, b.JPG), 1 recording (c.mp3); OCR is"
    )
    assert texts(others) == {"m.eml/d.txt": "text", "m.eml/e.pdf": "!locked"}


def test_what_is_hidden_in_a_mail_is_left_out_and_links_keep_their_target(read: Read) -> None:
    message = EmailMessage()
    message["From"] = "a@example.com"
    message.set_content('<i hidden>预览</i><a href="https://a.cn/t?x=1">查看账单</a>', subtype="html")
    document = only(read("a.eml", bytes(message)))
    assert document.text == "From: a@example.com\n\n查看账单 (https://a.cn/t?x=1)"
    assert document.source.notes == ("left out: 1 hidden element",)
    assert "预览" in only(read("a.eml", bytes(message), hidden=True)).text


def test_bodies_are_read_in_any_encoding_that_is_declared_missing_or_wrong(tmp_path: Path) -> None:
    expected = {}
    for language, encodings in USUAL.items():
        for encoding in encodings:
            fitting = [text for text in TEXTS[language] if text.encode(encoding, "replace").decode(encoding) == text]
            for declared in (encoding, "", "us-ascii") if fitting else ():
                text = max(fitting, key=len)
                name = f"{encoding} {language} as {declared or 'nothing'}.eml"
                kind = b"Content-Type: text/plain" + (f"; charset={declared}".encode() if declared else b"")
                encoded = text.encode(encoding).hex("=", 1).upper()
                body = "".join("=" + encoded[i : i + 60] + "=\r\n" for i in range(0, len(encoded), 60))
                body = body.replace("==\r\n=", "=\r\n=").replace("==\r\n", "=\r\n")
                data = RAW + kind + b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + body.encode()
                (tmp_path / name).write_bytes(data)
                expected[name] = "".join(text.split())
    found = {Path(item.id).name: "".join(getattr(item, "text", "").split()) for item in ingest.read([str(tmp_path)])}
    assert [name for name, text in expected.items() if text not in found[name]] == []
    assert len({name.split()[0] for name in expected}) > 25


SUBJECTS = [
    (b"=?GB2312?B?uvPM7A==?=", "后天"),
    (b"=?gb2312?Q?=BA=F3=CC=EC?=", "后天"),
    (b"=?utf-8?B?5ZCO?=\r\n =?utf-8?B?5aSp?=", "后天"),
    (b"=?utf-8?B?5ZCO5w==?= =?utf-8?B?qbo=?=", "后空"),
    ("后天".encode("gb18030"), "后天"),
    ("后天".encode(), "后天"),
    (b"=?nonsense?B?uvPM7A==?=", "后天"),
    (b"Re: =?big5?B?" + b64encode("後天".encode("big5")) + b"?= (2)", "Re: 後天 (2)"),
    (b"=?utf-8?B?!!!?=", "=?utf-8?B?!!!?="),
]


def test_a_subject_is_read_however_it_is_encoded(tmp_path: Path) -> None:
    start = RAW + b"Content-Type: text/plain; charset=gb2312\r\nSubject: "
    body = "\r\n\r\n正文在这里，请查收。".encode("gb18030")
    found = read_all(tmp_path, [start + header + body for header, _ in SUBJECTS], ".eml")
    assert found == [f"From: a@example.com\nSubject: {shown}\n\n正文在这里，请查收。" for _, shown in SUBJECTS]


def test_names_of_attachments_are_read_however_they_are_encoded(read: Read) -> None:
    part = b"--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename%s\r\n\r\nx\r\n"
    names = [b'="=?GBK?B?uvPM7C50eHQ=?="', b"*=utf-8''%E5%90%8E.txt", b'="' + "天.txt".encode() + b'"']
    data = (
        RAW + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"".join(part % name for name in names) + b"--b--"
    )
    assert [item.id for item in read("m.eml", data)] == ["m.eml", "m.eml/后天.txt", "m.eml/后.txt", "m.eml/天.txt"]


def test_lines_that_were_broken_for_sending_are_joined(read: Read) -> None:
    data = RAW + b"Content-Type: text/plain; format=flowed\r\n\r\nOne \r\nline.\r\nTwo.\r\n-- \r\nme"
    assert only(read("a.eml", data)).text.endswith("One line.\nTwo.\n-- \nme")


def test_a_mail_without_a_known_suffix_is_told_by_its_headers_and_a_memo_is_not_a_mail(read: Read) -> None:
    assert "Subject: 合同" in only(read("message", bytes(mail("合同", "x")))).text
    memo = "From: Zhang\nTo: Li\nSubject: x\nPhone: 138\n"
    assert only(read("memo", memo)).text == memo


def test_what_is_not_a_mail_is_mislabelled(read: Read) -> None:
    assert failure(read("a.eml", "just a text\nof two lines")).code == "mislabelled"
    assert failure(read("a.eml", "<html><body>no mail</body></html>")).code == "mislabelled"
    assert failure(read("a.eml", zipped({"a.txt": b"x"}))).code == "mislabelled"


def test_an_undecodable_text_fails_the_mail_and_not_its_attachments(read: Read) -> None:
    noise = b64encode(b"".join(sha256(bytes([number])).digest() for number in range(20)))
    part = b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\n" + noise + b"\r\n"
    attached = b"--b\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nfine\r\n--b--"
    mail_failed, document = read("m.eml", RAW + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part + attached)
    assert mail_failed.id == "m.eml"
    assert not isinstance(mail_failed, Document)
    assert texts([document]) == {"m.eml/a.txt": "fine"}
