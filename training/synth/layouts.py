"""The shapes a document can have. Each takes the fields and gives a text that holds every value."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from training.synth import values
from training.synth.fields import Field
from training.synth.fillers import SIMPLE, decoy, sentence, stray_label, stray_value, trap
from training.synth.grammar import expand, lines, parse, patterns, words
from training.synth.statements import absent, by_clue, by_label, relabel, statements

NOTHING = ("暂缺", "无", "未填", "—", "-", "/", "N/A", "null", "待定", "未提供", "空", "没有", "暂无", "")
NOTHING_EN = ("n/a", "none", "-", "null", "N/A", "pending", "missing", "not given", "")
SEPARATORS = ("：", "：", "：", ":", ": ", " : ", "　", "\t", " = ", "=", " - ", "→", " | ", "——", "： ", "  ")


@dataclass(frozen=True)
class Wish:
    """What a document is to contain and how hard it is made."""

    fields: list[Field]
    topic: str | None
    english: bool
    noise: float
    clue: float


Layout = Callable[[Random, Wish], str]


def noise(rng: Random, wish: Wish) -> str:
    """A filler or a trap."""
    english = wish.english if rng.random() < 0.92 else not wish.english
    if wish.topic and rng.random() < 0.4:
        return trap(rng, wish.topic, english)
    if wish.topic == "order" and rng.random() < 0.1:
        return trap(rng, "contact", english)
    return sentence(rng, english)


def title(rng: Random, wish: Wish) -> str:
    """A heading line."""
    if wish.english:
        return rng.choice(
            [f"{values.latin(rng).capitalize()} {values.latin(rng)}", sentence(rng, True), values.english_company(rng)]
        )
    tail = rng.choice(
        [
            "单",
            "表",
            "登记表",
            "通知",
            "凭单",
            "附件",
            "（节选）",
            "记录",
            "卡",
            "须知",
            "说明",
            "档案",
            "回执",
            "信息",
            "清单",
            "附件一",
        ]
    )
    return rng.choice(
        [
            values.junk(rng) + tail,
            rng.choice(words("nouns_zh")) + tail,
            values.company(rng),
            f"【{values.junk(rng)}{tail}】",
            f"# {values.junk(rng)}{tail}",
        ]
    )


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
    own = {f.label for f in wish.fields}
    rows[len(rows) - strays :] = [row for row in rows[len(rows) - strays :] if row[0] not in own]
    if rng.random() < 0.7:
        rng.shuffle(rows)
    return rows


def _dressed(rng: Random, field: Field) -> str:
    """A value with what may stand around it: an amount has a currency, a date an hour."""
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
    """A notice: labels and values in one paragraph."""
    separator = rng.choice(["：", "：", ":", "", " ", "是", "为"])
    stop = rng.choice(["；", "；", "，", "、", " ", "　", " / ", " | ", "。", ", ", "; "])
    rows = [f"{k}{' ' if not separator and k[-1:].isascii() else separator}{v}" for k, v in _rows(rng, wish)]
    head = rng.choice(
        [
            "",
            f"【{values.junk(rng)}{values.junk(rng)}】",
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
    for _ in range(rng.randint(0, 3)):
        columns.append((stray_label(rng, wish.english), stray_value(rng, wish.english), ""))
    rng.shuffle(columns)
    nothing = NOTHING_EN[:-1] if wish.english else NOTHING[:-1]
    blank = rng.choice(nothing)
    good = [v if v is not None else blank for _, v, _ in columns]
    names = [n for n, _, _ in columns]
    rows = [good]
    if rng.random() < 0.4:
        rows = _rivals(rng, wish, columns, names, good)
    sign = rng.choice([" | ", " | ", "\t", "\t", "|", " ", "  ", "，", "    "])
    edge = "| " if sign == " | " and rng.random() < 0.4 else ""
    text = [edge + sign.join(row) + edge[::-1] for row in [names, *rows]]
    if edge and rng.random() < 0.7:
        text.insert(1, "|" + "---|" * len(names))
    return _around(rng, wish, "\n".join(text))


def _rivals(
    rng: Random, wish: Wish, columns: list[tuple[str, str | None, str]], names: list[str], good: list[str]
) -> list[list[str]]:
    """Add rows that are out of date, and the column that says so."""
    yes, no = rng.choice([
        ("在用", "停用"), ("有效", "作废"), ("当前", "历史"), ("现行", "过期"), ("启用", "注销"), ("新", "旧"), ("正常", "冻结"),
        ("active", "disabled"), ("current", "old"), ("valid", "void"), ("有效", "已退"), ("本单", "上一单"), ("生效", "取消"), ("√", "×"), ("是", "否"),
    ])  # fmt: skip
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


def _around(rng: Random, wish: Wish, text: str) -> str:
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


def table_and_words(rng: Random, wish: Wish) -> str:
    """Half of the values in a table or list, the others in the sentences around it."""
    fields = list(wish.fields)
    rng.shuffle(fields)
    cut = rng.randint(1, max(1, len(fields) - 1))
    first = Wish(fields[:cut], wish.topic, wish.english, wish.noise, wish.clue)
    second = statements(rng, fields[cut:], wish.topic, wish.english, wish.clue)
    block = rng.choice([key_values, header_table, inline])(rng, first)
    words_ = _prose(rng, wish, second, wish.noise)
    return f"{block}\n{words_}" if rng.random() < 0.6 else f"{words_}\n{block}"


def _prose(rng: Random, wish: Wish, said: list[str], amount: float) -> str:
    """Join statements and fillers with punctuation."""
    out = list(said)
    for _ in range(rng.randint(0, int(1 + 6 * amount))):
        out.insert(rng.randint(0, len(out)), noise(rng, wish))
    stops = (
        [". ", ". ", ", ", "; ", "\n", "! "]
        if wish.english
        else ["。", "。", "，", "，", "；", "\n", "！", " ", " ，", "～"]
    )
    text = "".join(part + rng.choice(stops) for part in out)
    return text.rstrip("，； ,;") if rng.random() < 0.5 else text


def narrative(rng: Random, wish: Wish) -> str:
    """Running text."""
    said = statements(rng, wish.fields, wish.topic, wish.english, wish.clue)
    head = rng.choice(
        [
            "",
            "",
            f"{title(rng, wish)}\n",
            f"{rng.randint(1, 9)}.{rng.randint(1, 9)} ",
            f"{rng.choice(['房东', '店主', '班长', '老师', '客户', values.chinese_name(rng)])}(留言)?：".replace(
                "(留言)?", rng.choice(["", "留言"])
            ),
            f"{values.junk(rng)}说明：",
        ]
    )
    return head + _prose(rng, wish, said, wish.noise)


def letter(rng: Random, wish: Wish) -> str:
    """A letter with salutation and signature."""
    said = statements(rng, wish.fields, wish.topic, wish.english, wish.clue)
    body = _prose(rng, wish, said, wish.noise)
    if wish.english:
        head = f"{rng.choice(['Dear', 'Hello', 'Hi'])} {rng.choice(['Ms. ', 'Mr. ', ''])}{SIMPLE['elast'](rng)},\n"
        return (
            head
            + body
            + rng.choice(["", f"\nBest regards,\n{SIMPLE['ename'](rng)}", f"\nYours,\n{values.english_company(rng)}"])
        )
    head = f"{rng.choice(['尊敬的', '亲爱的', '', '您好，'])}{values.chinese_name(rng)}{rng.choice(['：', '，', '老师：', '先生：'])}\n"
    sign = rng.choice(
        ["", f"\n{values.chinese_name(rng)}", f"\n此致\n敬礼\n{values.chinese_name(rng)}", f"\n{values.company(rng)}"]
    )
    return head + body + sign


def chat(rng: Random, wish: Wish) -> str:
    """A dialogue: some values answer a question, others are told."""
    speakers = _speakers(rng, wish.english)
    turns: list[list[str]] = []
    left = [f for f in wish.fields if f.value is not None]
    rng.shuffle(left)
    while left:
        turn, left = _told(rng, wish, left)
        turns.append(turn)
    turns += [[absent(rng, f, wish.english)] for f in wish.fields if f.value is None and rng.random() < 0.3]
    turns += [[noise(rng, wish)] for _ in range(rng.randint(1, 2 + int(4 * wish.noise)))]
    rng.shuffle(turns)
    sign = rng.choice(["：", "：", ": ", "> ", "："])
    out, who = [], 0
    for turn in turns:
        for line in turn:
            out.append(
                f"{speakers[who]}{sign}{line}{rng.choice(['', '', '。', '，', '～', '！', '，' + sentence(rng, wish.english)])}"
            )
            who = (who + 1) % len(speakers) if rng.random() < 0.9 else who
    return "\n".join(out)


def _told(rng: Random, wish: Wish, left: list[Field]) -> tuple[list[str], list[Field]]:
    """One exchange that gives away one or more of the fields."""
    style = rng.random()
    asked = None if wish.english or style > 0.6 else _asked(rng, left)
    if asked:
        return asked
    said = by_clue(rng, left, wish.topic, wish.english) if wish.topic and rng.random() < wish.clue else None
    if said:
        return [said[0]], [f for f in left if f.free or f.kind not in said[1]]
    field = left[0]
    if field.free and not wish.english and rng.random() < 0.5:
        question = rng.choice(
            [f"{field.label}是多少？", f"{field.label}呢？", f"那{field.label}怎么写", f"{field.label}报一下"]
        )
        return [question, rng.choice(["", "", "是", "嗯，", "写", "填"]) + (field.value or "")], left[1:]
    return [by_label(rng, field, wish.english)], left[1:]


def _asked(rng: Random, left: list[Field]) -> tuple[list[str], list[Field]] | None:
    known = {f.kind: f for f in left if not f.free}
    rows = [line.split("\t") for line in (*lines("chat_ask"), *lines("chat_state"))]
    fitting = [row for row in rows if set(row[0].split(",")) <= known.keys()]
    if not fitting:
        return None
    kinds, *texts = rng.choice(fitting)
    used = set(kinds.split(","))

    def slot(name: str) -> str:
        if name in known:
            return known[name].value or ""
        return "" if name == "sp" else SIMPLE[name](rng)

    return [expand(parse(t), rng, slot) for t in texts], [f for f in left if f.free or f.kind not in used]


def _speakers(rng: Random, english: bool) -> list[str]:
    roles = "老板 顾客 客服 店主 司机 师傅 学生 老师 护士 病人 房东 租客 场务 前台 同事 主管 小工 会计 A B 甲 乙 我 用户 管理员 快递员 店员 客人 社工 教练".split()
    if english:
        roles = ["Tom", "Anna", "Clerk", "Customer", "Support", "User", "A", "B", *words("english_first")[:80]]
    else:
        sur = words("surnames")[0]
        roles += [
            f"小{rng.choice(sur)}",
            f"老{rng.choice(sur)}",
            f"{rng.choice(sur)}姐",
            values.chinese_name(rng),
            f"{values.junk(rng)}店老板",
            rng.choice(words("english_first")),
        ] * 3
    return rng.sample(sorted(set(roles)), rng.choice([2, 2, 2, 3]))


def config(rng: Random, wish: Wish) -> str:
    """A settings file, JSON, YAML or environment variables."""
    rows = _rows(rng, wish)
    style = rng.randrange(5)
    if style == 0:
        body = json.dumps(dict(rows), ensure_ascii=False, indent=rng.choice([None, 2]))
    elif style == 1:
        body = "\n".join(f"{k}: {v}" for k, v in rows)
    elif style == 2:
        body = f"[{values.latin(rng)}]\n" + "\n".join(f"{k} = {v}" for k, v in rows)
    elif style == 3:
        body = "\n".join(f"<{k}>{v}</{k}>" for k, v in rows)
    else:
        body = "\n".join(
            f"# {sentence(rng, wish.english)}\n{k}={v}" if rng.random() < 0.2 else f"{k}={v}" for k, v in rows
        )
    return _around(rng, wish, body)


def book(rng: Random, wish: Wish) -> str:
    """Paragraphs of something else with bare `label value` lines between them."""
    rows = [f"{f.label}{rng.choice(['', '', ':', '：', ' '])}{f.value}" for f in wish.fields if f.value is not None]
    if len(rows) > 1 and rng.random() < 0.6:
        at = rng.randrange(len(rows) - 1)
        rows[at : at + 2] = [rng.choice([" ", "  ", "，"]).join(rows[at : at + 2])]
    if rng.random() < 0.4:
        rng.shuffle(rows)
    out = []
    for row in rows:
        out += [_paragraph(rng, wish), row]
    return "\n".join([*out, _paragraph(rng, wish)])


def _paragraph(rng: Random, wish: Wish) -> str:
    count = rng.choice([1, 1, 2, 3])
    return rng.choice(["，", "，\n", "。"]).join(sentence(rng, wish.english) for _ in range(count)) + rng.choice(
        ["。", "，", ""]
    )


def snippet(rng: Random, wish: Wish) -> str:
    """A connection string or command with a login in it, among ordinary sentences."""
    known = {f.kind: f.value for f in wish.fields if not f.free and f.value}
    if "account" not in known or "password" not in known:
        return narrative(rng, wish)

    def slot(name: str) -> str:
        return known.get(name) or SIMPLE[name](rng)

    lead = expand(rng.choice(patterns("snippet_leads")), rng, slot)
    line = lead + expand(rng.choice(patterns("snippets")), rng, slot)
    others = [f for f in wish.fields if f.kind not in {"account", "password"}]
    said = statements(rng, others, wish.topic, wish.english, wish.clue)
    at = rng.randint(0, len(said))
    said.insert(at, line)
    out = []
    for part in said:
        stops = [" ，", " ", "\n", " 。", "\n"] if part == line else ["。", "，", "。", "\n"]
        out.append(part + rng.choice(stops))
        if rng.random() < 0.7:
            out.append(noise(rng, wish) + rng.choice(["。", "，", "。"]))
    return (noise(rng, wish) + "。" if rng.random() < 0.4 else "") + "".join(out)


def resume(rng: Random, wish: Wish) -> str:
    """A curriculum vitae: many years and numbers, a line with how to reach its owner."""
    english = wish.english
    sign = rng.choice(["\n", "\n", " | ", "　", "，", " / "])
    reach = [f"{relabel(rng, f, english)}{rng.choice(['：', ' ', ': ', '　', ':'])}{f.value}" for f in wish.fields if f.value]
    if rng.random() < 0.15:
        reach = [f.value for f in wish.fields if f.value]
    lines_ = [sentence_of(rng, "resume_lines", english) for _ in range(rng.randint(1, 5))]
    name = values.english_name(rng) if english else values.chinese_name(rng)
    role = rng.choice(["工程师", "会计", "店长", "护士", "摄影师", "教师", f"{values.junk(rng)}师"]) if not english else values.english_phrase(rng)
    head = rng.choice([f"{name}{rng.choice([' | ', '，', ' '])}{role}", f"姓名：{name}" if not english else f"{name}, {role}", name])
    lines_.insert(rng.choice([0, 0, len(lines_)]), sign.join(reach))
    lines_.insert(0, head)
    if rng.random() < 0.6:
        lines_.insert(0, rng.choice(["个人简历", "简历", "求职简历", "RESUME", "Curriculum vitae", "应聘登记表", "履历"]))
    return "\n".join(line for line in lines_ if line)


def sentence_of(rng: Random, name: str, english: bool) -> str:
    """A line of a file of frames, in the right script."""
    fitting = [line for line in lines(name) if line.isascii() == english]
    return expand(parse(rng.choice(fitting)), rng, lambda slot: SIMPLE[slot](rng))


def two_records(rng: Random, wish: Wish) -> str:
    """An old block and the current one, told apart by their headings."""
    old = [Field(f.name, f.kind, f.label, decoy(f.kind, rng, wish.english)) for f in wish.fields if rng.random() < 0.8]
    heads = rng.choice([
        ("旧信息（已作废）", "新信息"), ("原单（已取消）", "现单"), ("上一任（离职，停用）", "现任"), ("以前用的，别再用", "现在用的"), ("过期记录", "当前记录"),
        ("错误示例，勿抄", "正确填写"), ("样例（非真实）", "本次登记"), ("OLD (void)", "CURRENT"), ("Expired", "Valid now"), ("已停用", "在用"), ("退掉的那单", "要查的这单"),
    ])  # fmt: skip
    separator, stop = rng.choice(SEPARATORS[:6]), rng.choice(["\n", "\n", "，", "；", " "])
    blocks = []
    for head, fields in ((heads[0], old), (heads[1], wish.fields)):
        rows = [f"{f.label}{separator}{f.value}" for f in fields if f.value is not None]
        blocks.append(f"{rng.choice(['', '【', '## '])}{head}{rng.choice(['：', chr(10), ':'])}{stop.join(rows)}")
    rng.shuffle(blocks)
    return rng.choice(["\n", "\n\n", "\n" + sentence(rng, wish.english) + "\n"]).join(blocks)


def short(rng: Random, wish: Wish) -> str:
    """A few bare pairs: what the first minutes of training see."""
    rows = [f"{f.label}{rng.choice(['：', ':', ' ', '是'])}{f.value}" for f in wish.fields if f.value is not None]
    rows += [f"{stray_label(rng, wish.english)}：{stray_value(rng, wish.english)}" for _ in range(rng.randint(0, 2))]
    rng.shuffle(rows)
    return rng.choice(["\n", "，", "；"]).join(rows)


LAYOUTS: dict[str, tuple[Layout, float]] = {
    "key_values": (key_values, 2.0), "inline": (inline, 1.2), "header_table": (header_table, 2.2),
    "table_and_words": (table_and_words, 1.4), "narrative": (narrative, 4.0), "letter": (letter, 1.0),
    "chat": (chat, 2.0), "config": (config, 0.6), "book": (book, 0.8), "two_records": (two_records, 0.9),
    "snippet": (snippet, 1.3), "resume": (resume, 0.6),
}  # fmt: skip
