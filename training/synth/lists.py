"""Documents with several people, places and organisations, in the order in which they occur."""

from __future__ import annotations

from random import Random

from training.synth import basics, values
from training.synth.fillers import sentence
from training.synth.grammar import expand, patterns, words


def people(rng: Random) -> tuple[str, dict[str, list[str]]]:
    """Return a text and its people: names, phones, organisations and roles, each once."""
    found: dict[str, list[str]] = {"姓名": [], "电话": [], "单位": [], "职务": []}
    makers = {
        "p": ("姓名", values.person if rng.random() < 0.1 else values.chinese_name),
        "t": ("电话", lambda r: values.phone(r) if r.random() < 0.7 else values.landline(r)),
        "o": ("单位", lambda r: values.company(r) if r.random() < 0.6 else _org(r)),
        "r": ("职务", lambda r: r.choice(words("roles"))),
    }

    def slot(name: str) -> str:
        if name == "n":
            return values.phrase(rng)
        key, make = makers[name]
        return _note(found[key], make(rng))

    full = rng.random() < 0.6
    same = rng.choice(patterns("people"))
    parts = []
    for _ in range(rng.randint(1, 4)):
        frame = same if full else rng.choice(patterns("people_part") + patterns("people"))
        parts.append(expand(frame, rng, slot))
        if rng.random() < 0.3:
            parts.append(_bland(rng))
    return rng.choice(["。", "\n", "；", "\n"]).join(parts), found


def _bland(rng: Random) -> str:
    return "，".join(basics.junk(rng) + basics.junk(rng) for _ in range(2))


def _note(seen: list[str], value: str) -> str:
    if value not in seen:
        seen.append(value)
    return value


def _org(rng: Random) -> str:
    head = rng.choice(
        [rng.choice(words("cities")), "".join(rng.choices(basics.LEVEL_1, k=2)), rng.choice(words("countries"))]
    )
    return head + rng.choice(["", basics.junk(rng)]) + rng.choice(words("organisations"))


def _place(rng: Random) -> str:
    style = rng.random()
    if style < 0.3:
        return rng.choice(words("countries"))
    if style < 0.65:
        return rng.choice(words("cities")) + rng.choice(["", "市"])
    return "".join(rng.choices(basics.LEVEL_1, k=2)) + rng.choice(
        ["县", "乡", "村", "镇", "山", "河", "省", "岛", "湖", "路", "寺"]
    )


def ner(rng: Random) -> tuple[str, dict[str, list[str]]]:
    """Return a text and its names of people, places and organisations."""
    found: dict[str, list[str]] = {"PER": [], "LOC": [], "ORG": []}

    def slot(name: str) -> str:
        if name == "P":
            return _note(found["PER"], values.chinese_name(rng))
        if name == "L":
            return _note(found["LOC"], _place(rng))
        if name == "O":
            return _note(found["ORG"], _org(rng) if rng.random() < 0.7 else values.company(rng))
        return basics.junk(rng) + basics.junk(rng)

    parts = [expand(rng.choice(patterns("entities")), rng, slot) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.2:
        parts.append(sentence(rng, False).replace("{", ""))
        return "。".join(parts[:1]), {k: [v for v in vs if v in parts[0]] for k, vs in found.items()}
    return rng.choice(["。", "，"]).join(parts) + "。", found
