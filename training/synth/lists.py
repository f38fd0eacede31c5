"""Documents with several people, places and organisations, in the order in which they stand."""

from __future__ import annotations

from random import Random

from training.synth import values
from training.synth.fillers import sentence
from training.synth.grammar import expand, parse, words

ROLES = "经理 主任 工程师 会计 教师 医生 护士 校长 院长 店长 司机 秘书 总监 记者 编辑 律师 处长 科长 局长 厂长 教授 研究员 店员 助理 顾问 队长 书记 董事长 总经理 副主任 采购员 厨师".split()
PEOPLE = tuple(parse(p) for p in (
    "{p}(，|（|是){o}(的)?{r}(，|），|，)(电话|手机|联系方式|Tel：|)(：|:| |是){t}", "{o}{r}{p}(，|（)?(电话|手机) ?{t}(）|)?", "{p} {t} {o} {r}",
    "(联系|请找|出席：|主持：|记录：){o}(的)?{r}{p}(，|：| ){t}", "姓名：{p}\\n单位：{o}\\n职务：{r}\\n电话：{t}", "{p}\\t{o}\\t{r}\\t{t}", "{p}任{o}{r}，{t}",
))  # fmt: skip
PEOPLE_PART = tuple(parse(p) for p in (
    "{p}(说|来了|签了字|负责{n}|也在场|请假)", "{o}{r}{p}(表示|介绍说|出席|认为){n}", "{o}(承办|赞助|协办)了{n}", "(请拨|电话|手机) ?{t}(咨询|联系|)", "{p}（{t}）", "{p}和{p}(一起|分别|)(来|去|在){n}",
))  # fmt: skip
ENTITIES = tuple(parse(p) for p in (
    "{P}(在|到|去|访问|抵达|离开|回到|来自){L}(开会|考察|讲学|出差|，|参加{j}|)", "{O}(位于|设在|总部在|落户|迁往){L}", "{P}(担任|加入|就职于|来自|代表|离开){O}", "{O}(与|和|同){O}(签署|合作|讨论)(了|){j}",
    "{L}(、|和|与){L}(之间|两地|都)(有|将|已){j}", "(据|记者){P}(报道|从{L}发来消息)，{j}", "{P}、{P}(和{P}|等)(出席|参加|观看)(了|){j}", "{O}(主席|总裁|教授|发言人|队员|负责人){P}(说|表示|认为|指出)，?{j}",
    "(昨天|今年|日前|去年|近日)，?{L}(的|){j}", "{j}，{j}", "{L}的{O}(去年|今年|)(培养|生产|销售|接待)了{j}", "{P}(生于|住在|长在|葬于){L}",
))  # fmt: skip
ORG_TAILS = "大学 学院 医院 银行 研究所 集团 公司 委员会 协会 报社 电视台 俱乐部 基金会 局 部 出版社 中学 队 工会 博物馆 交易所 法院 联合会".split()
COUNTRIES = "中国 美国 英国 法国 德国 日本 韩国 俄罗斯 印度 巴西 埃及 南非 泰国 越南 意大利 西班牙 葡萄牙 希腊 瑞士 瑞典 挪威 芬兰 波兰 加拿大 墨西哥 阿根廷 智利 古巴 伊朗 以色列 亚洲 欧洲 非洲 香港 澳门 台湾".split()


def people(rng: Random) -> tuple[str, dict[str, list[str]]]:
    """A text and its people: names, phones, organisations and roles, each once."""
    found: dict[str, list[str]] = {"姓名": [], "电话": [], "单位": [], "职务": []}
    makers = {
        "p": ("姓名", values.person if rng.random() < 0.1 else values.chinese_name),
        "t": ("电话", lambda r: values.phone(r) if r.random() < 0.7 else values.landline(r)),
        "o": ("单位", lambda r: values.company(r) if r.random() < 0.6 else _org(r)), "r": ("职务", lambda r: r.choice(ROLES)),
    }  # fmt: skip

    def slot(name: str) -> str:
        if name == "n":
            return values.phrase(rng)
        key, make = makers[name]
        return _note(found[key], make(rng))

    full = rng.random() < 0.6
    same = rng.choice(PEOPLE)
    parts = []
    for _ in range(rng.randint(1, 4)):
        frame = same if full else rng.choice(PEOPLE_PART + PEOPLE)
        parts.append(expand(frame, rng, slot))
        if rng.random() < 0.3:
            parts.append(_bland(rng))
    return rng.choice(["。", "\n", "；", "\n"]).join(parts), found


def _bland(rng: Random) -> str:
    return "，".join(values.junk(rng) + values.junk(rng) for _ in range(2))


def _note(seen: list[str], value: str) -> str:
    if value not in seen:
        seen.append(value)
    return value


def _org(rng: Random) -> str:
    head = rng.choice([rng.choice(words("cities")), "".join(rng.choices(values.LEVEL_1, k=2)), rng.choice(COUNTRIES)])
    return head + rng.choice(["", values.junk(rng)]) + rng.choice(ORG_TAILS)


def _place(rng: Random) -> str:
    style = rng.random()
    if style < 0.3:
        return rng.choice(COUNTRIES)
    if style < 0.65:
        return rng.choice(words("cities")) + rng.choice(["", "市"])
    return "".join(rng.choices(values.LEVEL_1, k=2)) + rng.choice(
        ["县", "乡", "村", "镇", "山", "河", "省", "岛", "湖", "路", "寺"]
    )


def ner(rng: Random) -> tuple[str, dict[str, list[str]]]:
    """A text and its names of people, places and organisations."""
    found: dict[str, list[str]] = {"PER": [], "LOC": [], "ORG": []}

    def slot(name: str) -> str:
        if name == "P":
            return _note(found["PER"], values.chinese_name(rng))
        if name == "L":
            return _note(found["LOC"], _place(rng))
        if name == "O":
            return _note(found["ORG"], _org(rng) if rng.random() < 0.7 else values.company(rng))
        return values.junk(rng) + values.junk(rng)

    parts = [expand(rng.choice(ENTITIES), rng, slot) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.2:
        parts.append(sentence(rng, False).replace("{", ""))
        return "。".join(parts[:1]), {k: [v for v in vs if v in parts[0]] for k, vs in found.items()}
    return rng.choice(["。", "，"]).join(parts) + "。", found
