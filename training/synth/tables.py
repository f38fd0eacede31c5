"""Documents of labels and values: lists, tables, settings, notices."""

from __future__ import annotations

import json
from random import Random

from training.synth import basics
from training.synth.fields import Field
from training.synth.fillers import decoy, sentence, stray_label, stray_value
from training.synth.statements import absent, relabel
from training.synth.wish import Wish, noise, title

NOTHING = ("暂缺", "无", "未填", "—", "-", "/", "N/A", "null", "待定", "未提供", "空", "没有", "暂无", "")


NOTHING_EN = ("n/a", "none", "-", "null", "N/A", "pending", "missing", "not given", "")


SEPARATORS = ("：", "：", "：", ":", ": ", " : ", "　", "\t", " = ", "=", " - ", "→", " | ", "——", "： ", "  ")


def _rows(rng: Random, wish: Wish) -> list[tuple[str, str]]:
    """Label and value of the fields, of some that are missing, and of strangers, shuffled."""
    rows = []
    for field in wish.fields:
        if field.value is not None:
            rows.append((relabel(rng, field, wish.english), _dressed(rng, field)))
        elif rng.random() < 0.4:
            rows.append((relabel(rng, field, wish.english), rng.choice(NOTHING_EN if wish.english else NOTHING)))
    strays = rng.randint(0, 1 + int(5 * wish.noise))
    for _ in range(strays):
        rows.append((stray_label(rng, wish.english), stray_value(rng, wish.english)))
    own = {name for f in wish.fields for name in (f.label, f.name)}
    rows[len(rows) - strays :] = [row for row in rows[len(rows) - strays :] if row[0] not in own]
    if rng.random() < 0.7:
        rng.shuffle(rows)
    return rows


def _dressed(rng: Random, field: Field) -> str:
    """Return a value with what may surround it: an amount has a currency, a date an hour."""
    value = field.value or ""
    if field.kind in {"amount", "sum"} and rng.random() < 0.5:
        return rng.choice(
            ["¥{}", "￥{}", "{}元", "{} 元", "人民币{}元", "${}", "{}圆整", "RMB {}", "{}（含税）", "{} CNY", "€{}"]
        ).format(value)
    if field.kind in {"person", "phone"} and rng.random() < 0.06:
        return rng.choice(["{}（本人）", "{}（白天）", "{} 收", "{}，请先联系"]).format(value)
    return value


def key_values(rng: Random, wish: Wish) -> str:
    """One label and value a line, with bullets, headings, remarks and traps between them."""
    separator = rng.choice(SEPARATORS)
    bullet = rng.choice(["", "", "", "- ", "* ", "· ", "◆ ", "• ", "N. ", "N、", "(N) ", "☑", "> ", "| "])
    out = []
    for number, (name, value) in enumerate(_rows(rng, wish), 1):
        own = rng.choice(SEPARATORS) if rng.random() < 0.08 else separator
        out.append(f"{bullet.replace('N', str(number))}{name}{own}{value}")
    for _ in range(rng.randint(0, int(1 + 4 * wish.noise))):
        out.insert(rng.randint(0, len(out)), noise(rng, wish) + rng.choice(["", "。", "，谢谢。"]))
    if rng.random() < 0.6:
        out.insert(0, title(rng, wish))
    if rng.random() < 0.12:
        return _pairs(rng, out)
    return rng.choice(["\n", "\n", "\n", "\n\n"]).join(out)


def _pairs(rng: Random, rows: list[str]) -> str:
    """Two entries a line."""
    gap = rng.choice(["　", "    ", "\t", "　　", "  "])
    return "\n".join(gap.join(rows[i : i + 2]) for i in range(0, len(rows), 2))


def inline(rng: Random, wish: Wish) -> str:
    """Return a notice: labels and values in one paragraph."""
    separator = rng.choice(["：", "：", ":", "", " ", "是", "为"])
    stop = rng.choice(["；", "；", "，", "、", " ", "　", " / ", " | ", "。", ", ", "; "])
    rows = [f"{k}{' ' if not separator and k[-1:].isascii() else separator}{v}" for k, v in _rows(rng, wish)]
    head = rng.choice(
        [
            "",
            f"【{basics.junk(rng)}{basics.junk(rng)}】",
            sentence(rng, wish.english) + rng.choice(["——", "：", "，", "。"]),
            f"{title(rng, wish)}：",
        ]
    )
    tail = rng.choice(["", noise(rng, wish), noise(rng, wish) + "。" + noise(rng, wish) + "。"])
    return head + stop.join(rows) + rng.choice(["。", "。", "\n", " "]) + tail


def header_table(rng: Random, wish: Wish) -> str:
    """Columns with a heading row; more rows than one are told apart by a status or a remark."""
    columns: list[tuple[str, str | None, str]] = []
    for field in wish.fields:
        if field.value is None and rng.random() < 0.6:
            continue
        columns.append((relabel(rng, field, wish.english), field.value, field.kind))
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        columns.append((stray_label(rng, wish.english), stray_value(rng, wish.english), ""))
    rng.shuffle(columns)
    nothing = NOTHING_EN[:-1] if wish.english else NOTHING[:-1]
    blank = rng.choice(nothing)
    good = [v if v is not None else blank for _, v, _ in columns]
    names = [n for n, _, _ in columns]
    rows = [good]
    if rng.random() < 0.4:
        rows = _rivals(rng, wish, columns, names, good)
    sign = rng.choice([" | ", " | ", " | ", "\t", "\t", "\t", "|", "  ", "，", "    "])
    edge = "| " if sign == " | " and rng.random() < 0.4 else ""
    text = [edge + sign.join(row) + edge[::-1] for row in [names, *rows]]
    if edge and rng.random() < 0.7:
        text.insert(1, "|" + "---|" * len(names))
    return around(rng, wish, "\n".join(text))


def _rivals(
    rng: Random, wish: Wish, columns: list[tuple[str, str | None, str]], names: list[str], good: list[str]
) -> list[list[str]]:
    """Add rows that are out of date, and the column that says so."""
    yes, no = rng.choice(
        [
            ("在用", "停用"),
            ("有效", "作废"),
            ("当前", "历史"),
            ("现行", "过期"),
            ("启用", "注销"),
            ("新", "旧"),
            ("正常", "冻结"),
            ("active", "disabled"),
            ("current", "old"),
            ("valid", "void"),
            ("有效", "已退"),
            ("本单", "上一单"),
            ("生效", "取消"),
            ("√", "×"),
            ("是", "否"),
        ]
    )
    head = rng.choice(["状态", "备注", "是否有效", "标记", "情况", "status", "说明", "使用情况"])
    rivals = []
    for _ in range(rng.choice([1, 1, 2])):
        row = [decoy(kind, rng, wish.english) if kind else stray_value(rng, wish.english) for _, _, kind in columns]
        rivals.append([*row, no])
    rows = [*rivals, [*good, yes]]
    rng.shuffle(rows)
    names.append(head)
    if rng.random() < 0.6:
        for row in [names, *rows]:
            row.insert(0, row.pop())
    return rows


def around(rng: Random, wish: Wish, text: str) -> str:
    """Put a heading before a block and remarks after it."""
    before = title(rng, wish) + "\n" if rng.random() < 0.35 else ""
    after = "".join(
        rng.choice(["\n", "\n注：", "\n"]) + noise(rng, wish) + rng.choice(["。", ""])
        for _ in range(rng.randint(0, int(1 + 2 * wish.noise)))
    )
    missing = [f for f in wish.fields if f.value is None]
    if missing and rng.random() < 0.25:
        after += "\n" + absent(rng, rng.choice(missing), wish.english)
    return before + text + after


def config(rng: Random, wish: Wish) -> str:
    """Return a settings file, JSON, YAML or environment variables."""
    rows = _rows(rng, wish)
    style = rng.randrange(5)
    if style == 0:
        body = json.dumps(dict(rows), ensure_ascii=False, indent=rng.choice([None, 2]))
    elif style == 1:
        body = "\n".join(f"{k}: {v}" for k, v in rows)
    elif style == 2:
        body = f"[{basics.latin(rng)}]\n" + "\n".join(f"{k} = {v}" for k, v in rows)
    elif style == 3:
        body = "\n".join(f"<{k}>{v}</{k}>" for k, v in rows)
    else:
        body = "\n".join(
            f"# {sentence(rng, wish.english)}\n{k}={v}" if rng.random() < 0.2 else f"{k}={v}" for k, v in rows
        )
    return around(rng, wish, body)


def two_records(rng: Random, wish: Wish) -> str:
    """Return an old block and the current one, told apart by their headings."""
    old = [Field(f.name, f.kind, f.label, decoy(f.kind, rng, wish.english)) for f in wish.fields if rng.random() < 0.8]
    heads = rng.choice(
        [
            ("旧信息（已作废）", "新信息"),
            ("原单（已取消）", "现单"),
            ("上一任（离职，停用）", "现任"),
            ("以前用的，别再用", "现在用的"),
            ("过期记录", "当前记录"),
            ("错误示例，勿抄", "正确填写"),
            ("样例（非真实）", "本次登记"),
            ("OLD (void)", "CURRENT"),
            ("Expired", "Valid now"),
            ("已停用", "在用"),
            ("退掉的那单", "要查的这单"),
        ]
    )
    separator, stop = rng.choice(SEPARATORS[:6]), rng.choice(["\n", "\n", "，", "；", " "])
    blocks = []
    for head, fields in ((heads[0], old), (heads[1], wish.fields)):
        rows = [f"{f.label}{separator}{f.value}" for f in fields if f.value is not None]
        blocks.append(f"{rng.choice(['', '【', '## '])}{head}{rng.choice(['：', chr(10), ':'])}{stop.join(rows)}")
    rng.shuffle(blocks)
    return rng.choice(["\n", "\n\n", "\n" + sentence(rng, wish.english) + "\n"]).join(blocks)


def short(rng: Random, wish: Wish) -> str:
    """Return a few bare pairs: what the first minutes of training see."""
    rows = [f"{f.label}{rng.choice(['：', ':', ' ', '是'])}{f.value}" for f in wish.fields if f.value is not None]
    rows += [f"{stray_label(rng, wish.english)}：{stray_value(rng, wish.english)}" for _ in range(rng.randint(0, 2))]
    rng.shuffle(rows)
    return rng.choice(["\n", "，", "；"]).join(rows)
