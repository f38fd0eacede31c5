"""Conversations in writing."""

from __future__ import annotations

from random import Random

from training.synth import basics, values
from training.synth.fields import Field
from training.synth.fillers import sentence
from training.synth.grammar import expand, lines, parse, words
from training.synth.slots import SIMPLE
from training.synth.statements import absent, by_clue, by_label
from training.synth.wish import Wish, noise


def chat(rng: Random, wish: Wish) -> str:
    """Return a dialogue: some values answer a question, others are told."""
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
            tail = rng.choice(["", "", "。", "，", "～", "！", "，" + sentence(rng, wish.english)])
            out.append(f"{speakers[who]}{sign}{line}{tail}")
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
    roles = [
        "老板",
        "顾客",
        "客服",
        "店主",
        "司机",
        "师傅",
        "学生",
        "老师",
        "护士",
        "病人",
        "房东",
        "租客",
        "场务",
        "前台",
        "同事",
        "主管",
        "小工",
        "会计",
        "A",
        "B",
        "甲",
        "乙",
        "我",
        "用户",
        "管理员",
        "快递员",
        "店员",
        "客人",
        "社工",
        "教练",
    ]
    if english:
        roles = ["Tom", "Anna", "Clerk", "Customer", "Support", "User", "A", "B", *words("english_first")[:80]]
    else:
        sur = words("surnames")[0]
        roles += [
            f"小{rng.choice(sur)}",
            f"老{rng.choice(sur)}",
            f"{rng.choice(sur)}姐",
            values.chinese_name(rng),
            f"{basics.junk(rng)}店老板",
            rng.choice(words("english_first")),
        ] * 3
    return rng.sample(sorted(set(roles)), rng.choice([2, 2, 2, 3]))
