"""Sentences that state values: by label, by a clue word, or by saying what is not meant."""

from __future__ import annotations

from functools import cache
from random import Random

from training.synth.fields import Field, label
from training.synth.fillers import decoy, fill
from training.synth.grammar import Sequence, expand, lines, parse, patterns, slots

BY_LABEL_ZH = tuple(parse(p) for p in (
    "{L}(：|:| |是|为|＝|=|——|→| : |　|:\\t){V}", "{L}(：|是|为|: ){V}", "{L}{V}", "(这次|本次|现在|目前|最后)?(的)?{L}(改成|定为|写|填|登记为|确认是|报的是|用|取) ?{V}(了|)",
    "{L}(那一栏|这一项|一栏|处|后面)(填|写|写的|登记的|印着|标)(的是|着|了|) ?{V}", "(把|将){L}(写成|改为|设为|定成|记作) ?{V}",
    "{V}（{L}）", "{L}（{V}）", "(以|拿|用) ?{V} ?(作为|当|做){L}", "{L}(不是|并非|别写成|原为) ?{X}(，|；)(而?是|应为|应该是|现为|请写) ?{V}",
    "(原|旧|老|上次的|前一个){L} ?{X} ?(已|)(作废|取消|不用了|划掉|过期)(，|；|。)(新的|现在的|新{L}|改|正确的)(是|为|：|用) ?{V}",
    "(听说|据查|记得|说是|问过了，|看单子上)(这个|)?{L}(是|为|叫|：) ?{V}", "【{L}】{V}", "\\[{L}\\] ?{V}", "“{L}”(：|是|为)“?{V}", "{L}\\n{V}",
    "{V} ?(是|就是|即|乃|便是)(这次的|它的|本)?{L}",
))  # fmt: skip
BY_LABEL_EN = tuple(parse(p) for p in (
    "{L}(: | : |=| = | - |\\t| -> |:){V}", "{L}: {V}", "(the|The|our|Its) {L} (is|was|reads|remains|has been set to|will be) {V}", "{V} \\({L}\\)", "{L} \\({V}\\)",
    "(the|The) {L} is (not|no longer) {X}(,|;| but) (it is |use |now |){V}", "(use|take|note|write) {V} (as|for) (the |){L}", "(set|change) (the |){L} to {V}",
    "old {L} {X} is void(,|;) new {L}(:| is) {V}", "\\[{L}\\] {V}", "{L} {V}", "{V} is (the|our|its) {L}",
))  # fmt: skip
NONE_ZH = tuple(parse(p) for p in (
    "{L}(：|:| |　|)(暂缺|无|未填|未提供|没有|/|—|-|待补|空|不详|N/A|null|未登记|待定|暂无|略|缺|——)", "{L}(还没|尚未|暂未|没)(定|有|给|填|写|确定|登记|报上来)",
    "(本表|此处|这里|文中|附件里|)?(不列|不写|未列|不含|没写|不提){L}", "(没有|暂无|不提供|不留|不登记){L}", "{L}(另行通知|以后补|下次再说|保密|见附件|找{name}问)",
))  # fmt: skip
NONE_EN = tuple(parse(p) for p in (
    "{L}(: | |:)(n/a|none|-|null|pending|to follow|not given|missing|unknown|N/A)", "(the|The) {L} (is not known|has not been set|will follow|is left open|was not given)", "no {L} (was |)(given|set|yet)",
))  # fmt: skip
BARE = 2
"""Index in BY_LABEL_ZH of the frame with nothing between label and value."""


def by_label(rng: Random, field: Field, english: bool) -> str:
    """State a field with its label."""
    frames = BY_LABEL_EN if english else BY_LABEL_ZH
    value = field.value or ""
    chosen = frames[rng.randrange(2)] if rng.random() < 0.35 else rng.choice(frames)
    if chosen is BY_LABEL_ZH[BARE] and field.label[-1:].isascii() and value[:1].isascii():
        chosen = frames[1]
    given = {"L": field.label, "V": value, "X": decoy(field.kind, rng, english)}
    return expand(chosen, rng, lambda name: given[name] if name in given else fill(name, rng))


@cache
def _none_frames(english: bool) -> dict[str, list[Sequence]]:
    out: dict[str, list[Sequence]] = {}
    for line in lines("null_en" if english else "null_zh"):
        kind, pattern = line.split("\t")
        out.setdefault(kind, []).append(parse(pattern))
    return out


def absent(rng: Random, field: Field, english: bool) -> str:
    """Say that a field is not there."""
    special = _none_frames(english).get(field.kind, [])
    if special and not field.free and rng.random() < 0.7:
        return expand(rng.choice(special), rng, lambda name: fill(name, rng))
    frames = NONE_EN if english else NONE_ZH
    return expand(rng.choice(frames), rng, lambda name: field.label if name == "L" else fill(name, rng))


@cache
def _frames(topic: str, english: bool) -> tuple[tuple[frozenset[str], Sequence], ...]:
    """Clue sentences with the kinds of values they must have."""
    chosen = patterns(f"{topic}_{'en' if english else 'zh'}")
    return tuple((frozenset(kind for s in slots(p) for kind in _gold(s)), p) for p in chosen)


GOLD = frozenset(["phone", "email", "account", "password", "order", "date", "amount", "person", "address"])


def _gold(slot: str) -> list[str]:
    return [kind for kind in slot.split("=") if kind in GOLD]


def by_clue(rng: Random, fields: list[Field], topic: str, english: bool) -> tuple[str, set[str]] | None:
    """A clue sentence for one or more of the fields, and the kinds it states; None where no sentence fits."""
    known = {f.kind: f.value for f in fields if f.value is not None and not f.free}
    fitting = [(kinds, p) for kinds, p in _frames(topic, english) if kinds and kinds <= known.keys()]
    fitting = [(kinds, p) for kinds, p in fitting if not _shared(p) or rng.random() < 0.3]
    if not fitting:
        return None
    weights = [len(kinds) * 1.5 for kinds, _ in fitting]
    kinds, chosen = rng.choices(fitting, weights)[0]
    if _shared(chosen):
        return None
    text = expand(chosen, rng, lambda name: _slot(rng, name, known, english))
    return text, set(kinds)


def _shared(pattern: Sequence) -> bool:
    return any("=" in s for s in slots(pattern))


def _slot(rng: Random, name: str, known: dict[str, str | None], english: bool) -> str:
    if name in known:
        return known[name] or ""
    if name.startswith("!") and name[1:] in GOLD:
        return decoy(name[1:], rng, english)
    return fill(name, rng)


def statements(rng: Random, fields: list[Field], topic: str | None, english: bool, clue: float) -> list[str]:
    """State every field that has a value and mention some that have none, in random order."""
    out: list[str] = []
    left = [f for f in fields if f.value is not None]
    rng.shuffle(left)
    while left:
        said = by_clue(rng, left, topic, english) if topic and rng.random() < clue else None
        if said:
            out.append(said[0])
            left = [f for f in left if f.free or f.kind not in said[1]]
        else:
            out.append(by_label(rng, left.pop(0), english))
    out += [absent(rng, f, english) for f in fields if f.value is None and rng.random() < 0.3]
    rng.shuffle(out)
    return out


def relabel(rng: Random, field: Field, english: bool) -> str:
    """The label a table uses for a field."""
    return field.label if field.free or rng.random() < 0.6 else label(rng, field.kind, english)
