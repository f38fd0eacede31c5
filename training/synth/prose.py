"""Running text: stories, letters, resumes, commands, and the paragraphs of the book's example."""

from __future__ import annotations

from random import Random

from training.synth import basics, values
from training.synth.fillers import sentence
from training.synth.grammar import expand, lines, parse, patterns
from training.synth.slots import SIMPLE
from training.synth.statements import relabel, statements
from training.synth.wish import Wish, noise, title


def prose(rng: Random, wish: Wish, said: list[str], amount: float) -> str:
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
    """Write running text."""
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
            f"{basics.junk(rng)}说明：",
        ]
    )
    return head + prose(rng, wish, said, wish.noise)


def letter(rng: Random, wish: Wish) -> str:
    """Return a letter with salutation and signature."""
    said = statements(rng, wish.fields, wish.topic, wish.english, wish.clue)
    body = prose(rng, wish, said, wish.noise)
    if wish.english:
        head = f"{rng.choice(['Dear', 'Hello', 'Hi'])} {rng.choice(['Ms. ', 'Mr. ', ''])}{SIMPLE['elast'](rng)},\n"
        return (
            head
            + body
            + rng.choice(["", f"\nBest regards,\n{SIMPLE['ename'](rng)}", f"\nYours,\n{values.english_company(rng)}"])
        )
    stop = rng.choice(["：", "，", "老师：", "先生："])
    head = f"{rng.choice(['尊敬的', '亲爱的', '', '您好，'])}{values.chinese_name(rng)}{stop}\n"
    sign = rng.choice(
        ["", f"\n{values.chinese_name(rng)}", f"\n此致\n敬礼\n{values.chinese_name(rng)}", f"\n{values.company(rng)}"]
    )
    return head + body + sign


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
    """Return a connection string or command with a login in it, among ordinary sentences."""
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
    """Return a curriculum vitae: many years and numbers, a line with how to reach its owner."""
    english = wish.english
    sign = rng.choice(["\n", "\n", " | ", "　", "，", " / "])
    reach = [
        f"{relabel(rng, f, english)}{rng.choice(['：', ' ', ': ', '　', ':'])}{f.value}" for f in wish.fields if f.value
    ]
    if rng.random() < 0.15:
        reach = [f.value for f in wish.fields if f.value]
    lines_ = [sentence_of(rng, "resume_lines", english) for _ in range(rng.randint(1, 5))]
    name = values.english_name(rng) if english else values.chinese_name(rng)
    role = (
        rng.choice(["工程师", "会计", "店长", "护士", "摄影师", "教师", f"{basics.junk(rng)}师"])
        if not english
        else values.english_phrase(rng)
    )
    head = rng.choice(
        [f"{name}{rng.choice([' | ', '，', ' '])}{role}", f"姓名：{name}" if not english else f"{name}, {role}", name]
    )
    lines_.insert(rng.choice([0, 0, len(lines_)]), sign.join(reach))
    lines_.insert(0, head)
    if rng.random() < 0.6:
        lines_.insert(0, rng.choice(["个人简历", "简历", "求职简历", "RESUME", "CV", "应聘登记表", "履历"]))
    return "\n".join(line for line in lines_ if line)


def sentence_of(rng: Random, name: str, english: bool) -> str:
    """Return a line of a file of frames, in the right script."""
    fitting = [line for line in lines(name) if line.isascii() == english]
    return expand(parse(rng.choice(fitting)), rng, lambda slot: SIMPLE[slot](rng))
