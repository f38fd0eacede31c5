"""Long contracts in Chinese, generated from a seed, and perfect answers about them."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from extractor.data import Json, Prompt, Span
from extractor.task.task import Schema

STRING: Schema = {"type": "string"}
SCHEMA: Schema = {
    "title": "contract",
    "type": "object",
    "properties": {
        "合同编号": {**STRING, "maxLength": 40},
        "签订日期": {**STRING, "maxLength": 20},
        "电话": {"type": "array", "items": {**STRING, "pattern": r"^1\d{10}$", "maxLength": 11}},
        "金额": {"type": "array", "items": {**STRING, "maxLength": 24}},
        "公司": {"type": "array", "items": {**STRING, "maxLength": 40}},
        "交货": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"品名": {**STRING, "maxLength": 12}, "数量": {"type": "integer"}},
                "required": ["品名", "数量"],
            },
        },
    },
    "required": ["合同编号", "签订日期"],
    "additionalProperties": False,
}

PATTERNS: Mapping[str, str] = {
    "合同编号": r"合同编号：([A-Z]{2}-\d{4}-\d{3,6}(?![\d]))",
    "签订日期": r"(\d{4}年\d{1,2}月\d{1,2}日)签订",
    "电话": r"(?<!\d)(1\d{10})(?!\d)",
    "金额": r"(?<![\d,])(\d[\d,]*\.\d\d元)",
    "公司": r"「([^「」]+)」",
}
ROW = re.compile(r"交付([一-龥]{2,6})(\d+)台")

_CITIES = "北京 上海 广州 深圳 杭州 成都 武汉 西安 南京 重庆".split()
_NAMES = "蓝亭 云杉 恒远 瑞丰 启明 天衡 广达 金穗 长河 海岳".split()
_TRADES = "信息技术 精密仪器 商贸 物流 新能源 生物科技".split()
_GOODS = "服务器 交换机 打印机 投影仪 传感器 控制柜".split()
_PLAIN = (
    "任何一方违反本合同约定的，应当承担违约责任，并赔偿因此给对方造成的全部损失",
    "双方应当对在履行本合同过程中知悉的商业秘密予以保密，未经书面同意不得向第三方披露",
    "因不可抗力不能履行合同的，根据影响的程度部分或者全部免除责任，但法律另有规定的除外",
    "验收不合格的，供货方应当在接到通知后十五日内更换或者修复，费用由供货方承担",
    "本合同未尽事宜，由双方另行协商并签订补充协议，补充协议与本合同具有同等法律效力",
)


def contract(characters: int = 30_000, seed: int = 0) -> str:
    """Generate a contract of at least so many characters, with values of all fields of `SCHEMA` throughout."""
    chance = random.Random(seed)
    parts = [f"设备采购合同\n合同编号：CG-{chance.randrange(2020, 2026)}-{chance.randrange(1000, 999999)}\n"]
    parts.append(f"本合同于{_date(chance)}签订，由甲方「{_company(chance)}」与乙方「{_company(chance)}」订立。\n")
    number, length = 0, sum(map(len, parts))
    while length < characters:
        number += 1
        parts.append(f"第{number}条 {_clause(chance)}\n")
        length += len(parts[-1])
    return "".join(parts)


def _clause(chance: random.Random) -> str:
    """Generate a clause, sometimes one without a place to pause."""
    pieces = [chance.choice(_PLAIN) for _ in range(chance.randrange(1, 4))]
    facts = (
        lambda: f"联系电话{_phone(chance)}",
        lambda: (
            f"价款为人民币{chance.randrange(10, 9_999):,},{chance.randrange(1000):03d}.{chance.randrange(100):02d}元"
        ),
        lambda: f"由「{_company(chance)}」负责运输",
        lambda: f"应当交付{chance.choice(_GOODS)}{chance.choice([1, 2, 5, 10, 20])}台",
    )
    for _ in range(chance.randrange(0, 4)):
        pieces.insert(chance.randrange(len(pieces) + 1), chance.choice(facts)())
    return chance.choice(["，", "，", "；", "。", ""]).join(pieces) + "。"


def _date(chance: random.Random) -> str:
    return f"{chance.randrange(2020, 2026)}年{chance.randrange(1, 13)}月{chance.randrange(1, 29)}日"


def _phone(chance: random.Random) -> str:
    return f"13{chance.randrange(10**9):09d}"


def _company(chance: random.Random) -> str:
    return f"{chance.choice(_CITIES)}{chance.choice(_NAMES)}{chance.choice(_TRADES)}有限公司"


@dataclass(frozen=True, slots=True)
class Truth:
    """The right data of a text: scalars, lists of strings with their repeats, rows; and all places of the strings."""

    data: dict[str, Json]
    places: dict[str, list[Span]]


def found(text: str) -> dict[str, list[tuple[str, Span]]]:
    return {name: [(m[1], m.span(1)) for m in re.finditer(pattern, text)] for name, pattern in PATTERNS.items()}


def rows(text: str) -> Iterator[tuple[dict[str, Json], Span]]:
    for match in ROW.finditer(text):
        yield {"品名": match[1], "数量": int(match[2])}, match.span()


def truth(text: str) -> Truth:
    values = found(text)
    data: dict[str, Json] = {}
    for name, kind in SCHEMA["properties"].items():
        if name == "交货":
            data[name] = [row for row, _ in rows(text)]
        elif kind["type"] == "array":
            data[name] = [value for value, _ in values[name]]
        else:
            data[name] = values[name][0][0] if values[name] else None
    return Truth(data, {name: [span for _, span in each] for name, each in values.items()})


def perfect(prompt: Prompt) -> str:
    """Return the perfect answer: all values of the prompt's fields in its chunk, and nothing else."""
    text, values = prompt.chunk.text, found(prompt.chunk.text)
    answer: dict[str, Json] = {}
    for field in prompt.task.fields:
        if field.name == "交货":
            answer[field.name] = [row for row, _ in rows(text)]
        elif field.type == "array":
            answer[field.name] = [value for value, _ in values[field.name]]
        else:
            answer[field.name] = values[field.name][0][0] if values[field.name] else None
    return json.dumps(answer, ensure_ascii=False)
