"""Random addresses, Chinese and English."""

from __future__ import annotations

from random import Random

from training.synth import basics
from training.synth.grammar import words


def road(rng: Random) -> str:
    name: str = "".join(rng.choices(basics.LEVEL_1, k=rng.choice([2, 2, 3])))
    if rng.random() < 0.55:
        name = rng.choice(words("roads"))
    part: str = rng.choice(["", "", "", *"东西南北中", "一", "二"])
    kind: str = rng.choice(["路", "路", "街", "大道", "巷", "大街", "弄", "胡同", "里"])
    return name + part + kind


def _estate(rng: Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(words("estates"))
    return "".join(rng.choices(basics.LEVEL_1, k=rng.randint(2, 3))) + rng.choice(
        [
            "花园",
            "家园",
            "小区",
            "苑",
            "公寓",
            "大厦",
            "广场",
            "府",
            "湾",
            "城",
            "叙",
            "里",
            "新村",
            "中心",
            "学校",
            "医院",
        ]
    )


def _unit(rng: Random) -> str:
    b, u, r = rng.randint(1, 39), rng.randint(1, 6), rng.randint(1, 33) * 100 + rng.randint(1, 8)
    return rng.choice(
        [
            f"{b}号楼{u}单元{r}",
            f"{b}栋{r}室",
            f"{b}幢{u}单元{r}室",
            f"{b}-{u}-{r}",
            f"{rng.choice('ABCD')}座{r}",
            f"{b}栋{r}",
            f"{rng.choice('ABCDEF')}{r}",
            f"{b}号{r}",
            f"{u}楼",
            f"综合楼{u}层前台",
            f"负一层{rng.choice(words('places_zh'))}",
            f"{b}#{r}",
            f"{rng.choice('东西南北')}门",
            f"{u}单元{r}",
            f"{rng.choice(words('places_zh'))}",
            f"{b}号楼{u}层{rng.choice('东西')}侧",
        ]
    )


def address(rng: Random) -> str:
    city = rng.choice(words("cities")) if rng.random() < 0.85 else "".join(rng.choices(basics.LEVEL_1, k=2))
    area = rng.choice(words("districts")) if rng.random() < 0.7 else "".join(rng.choices(basics.LEVEL_1, k=2))
    province = rng.choice(words("provinces")) if rng.random() < 0.25 else ""
    street = f"{road(rng)}{rng.randint(1, 999)}{rng.choice(['号', '号', '号', '弄', '号院', ''])}"
    tail = rng.choice([_estate(rng) + _unit(rng), _unit(rng), _estate(rng), _estate(rng) + _unit(rng), ""])
    style = rng.random()
    if style < 0.7:
        return f"{province}{city}市{area}{rng.choice(['区', '区', '区', '县', '市'])}{street}{tail}"
    if style < 0.8:
        return f"{area}区{street}{tail}"
    if style < 0.86:
        return f"{city}{area}{street}{tail}"
    if style < 0.92:
        return f"{_estate(rng)}{_unit(rng)}"
    village = f"{basics.junk(rng)}{rng.choice('镇乡')}{basics.junk(rng)}村"
    return f"{province}{city}市{area}县{village}{rng.randint(1, 30)}{rng.choice('组号社队')}"


def _capitals(rng: Random) -> str:
    return basics.letters(rng, 2, basics.UPPER)


def english_town(rng: Random) -> str:
    """Return a town as English texts name it, one of three made up."""
    made_up = (basics.pseudo(rng) + basics.pseudo(rng)).capitalize()
    known = rng.choice(words("english_towns")).replace("_", " ")
    return rng.choice([known, rng.choice(words("english_last")), made_up])


def english_address(rng: Random) -> str:
    name = rng.choice([basics.latin(rng).capitalize(), rng.choice(words("english_last"))])
    door = f"{rng.choice(['Flat', 'Apt', 'Unit', 'Suite'])} {rng.randint(1, 99)}{rng.choice(['', *'ABC'])}, "
    street = f"{rng.randint(1, 999)} {name} {rng.choice(words('english_streets'))}"
    five = basics.digits(rng, 5)
    code = rng.choice(
        [five, f"{_capitals(rng)} {five}", f"{_capitals(rng)}{rng.randint(1, 20)} {rng.randint(1, 9)}{_capitals(rng)}"]
    )
    tail = rng.choice([f" {code}", f", {code}", ""])
    return f"{door if rng.random() < 0.6 else ''}{street}, {english_town(rng)}{tail}"
