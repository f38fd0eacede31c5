"""What every contender is asked: Chinese documents with four fields to find, behind a shared instruction.

Documents are deterministic: the same seed gives the same texts, and a longer list begins with the shorter one. Their
lengths follow the golden ratio through 80 to 700 characters, so any first few have the mean and the spread of all, and
rates over 16 and over 1,024 documents can be compared. This module knows no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from extractor.chatglm3.tokenizer import Tokenizer
from extractor.data import Chunk, Document, Json, Prompt, Source
from extractor.stages.prompting import render
from extractor.task.task import Task, make_task
from training.synth import values

TEMPLATE = Path(__file__).parent / "prompt.jinja"
FEWEST, MOST = 80, 700
LONGEST_VALUE = 12
FREE_TOKENS = 48
"""What an answer without a constraint is cut off at."""
ANSWER_TOKENS = 128
"""More than four fields of twelve characters can take, so that an answer to a schema always ends by itself."""

_GOLDEN = 0.6180339887498949
_SENTENCES = (
    "经{name}核对，{month}月{day}日到货的{count}箱{goods}与清单一致",
    "{place}的{goods}数量不足，需要在{day}日之前补齐",
    "会议改到{month}月{day}日下午{hour}点，地点为{place}",
    "{name}表示，本季度的{goods}比去年同期增加了{count}%",
    "如有疑问，请在工作日上午{hour}点以后联系{place}",
    "附件共{day}页，其中第{hour}页需要签字并盖章",
    "{place}的电梯正在检修，预计{hour}小时以后恢复使用",
    "这批{goods}的单价为{count}元，运费由对方承担",
    "由于天气原因，发往{place}的车辆推迟{hour}小时出发",
    "{name}负责{place}的值班，遇到问题可以当面说明",
    "根据规定，{goods}须在领取后{day}天以内登记",
    "上个月一共处理了{count}份申请，其中{day}份需要补充材料",
)
_GOODS = ("打印纸", "办公桌椅", "消毒用品", "实验器材", "电缆", "茶叶", "工作服", "投影仪", "轴承", "图书")
_PLACES = ("三号仓库", "行政楼二层", "南门传达室", "实验中心", "第一会议室", "职工食堂", "客户服务部", "培训基地")
_FIELDS = {"姓名": "联系人的姓名", "电话": "联系电话", "单位": "所在单位", "编号": "登记的编号"}


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt in both its forms: what our backend is handed, and the same as token ids with the answer opened."""

    prompt: Prompt
    ids: tuple[int, ...]


def documents(count: int, seed: int = 0) -> list[Document]:
    """`count` documents of 80 to 700 characters."""
    places = [(0.5 + number * _GOLDEN) % 1 for number in range(count)]
    return [_document(n, FEWEST + round(place * (MOST - FEWEST)), seed) for n, place in enumerate(places)]


def long_documents(count: int, tokens: int, tokenizer: Tokenizer, seed: int = 0) -> list[Document]:
    """`count` documents of `tokens` tokens each, give or take one."""
    return [_cut(_document(number, 2 * tokens, seed), tokens, tokenizer) for number in range(count)]


def task(ground: str, prompt: str = str(TEMPLATE)) -> Task:
    """Four string fields of at most twelve characters; `ground` is `none` (any text) or `verbatim`."""
    return make_task(schema(ground), prompt, f"benchmark-{ground}")


def schema(ground: str) -> Mapping[str, Json]:
    """The schema of the task as ours takes it."""
    fields = {
        name: {"type": "string", "description": description, "maxLength": LONGEST_VALUE, "x-ground": ground}
        for name, description in _FIELDS.items()
    }
    return {"type": "object", "properties": fields, "additionalProperties": False}


def plain_schema() -> Mapping[str, Json]:
    """The same answers as a schema for other engines: every property, in order, null where there is nothing."""
    value = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": LONGEST_VALUE}, {"type": "null"}]}
    return {
        "type": "object",
        "properties": dict.fromkeys(_FIELDS, value),
        "required": list(_FIELDS),
        "additionalProperties": False,
    }


def question(document: Document, task: Task, tokenizer: Tokenizer, *, constrain: bool = True) -> Question:
    """Ask about a whole document. The ids end with the newline that a chat answer begins with."""
    chunk = Chunk(document, 0, 0, len(document.text))
    prompt = render(Prompt(chunk, task, (), ANSWER_TOKENS if constrain else FREE_TOKENS, constrain=constrain))
    return Question(prompt, (*tokenizer.chat_prompt(prompt.messages), *tokenizer.encode("\n")))


def shared_prefix(questions: list[Question]) -> int:
    """How many tokens all the prompts begin with alike."""
    columns = zip(*(question.ids for question in questions), strict=False)
    return next((place for place, column in enumerate(columns) if len(set(column)) > 1), 0)


def _document(number: int, length: int, seed: int) -> Document:
    """A form with the four values, filled up with other sentences; exactly `length` characters."""
    random = Random(f"{seed} {number}")
    head = {"姓名": values.chinese_name(random), "电话": values.phone(random)}
    head |= {"单位": values.company(random), "编号": values.code(random)}
    rows = [f"{name}：{value}。" for name, value in head.items()]
    text = "".join(rows)
    while len(text) < length:
        text += _sentence(random) + "。"
    return _made(number, text[:length])


def _sentence(random: Random) -> str:
    pattern = random.choice(_SENTENCES)
    return pattern.format(
        name=values.chinese_name(random),
        goods=random.choice(_GOODS),
        place=random.choice(_PLACES),
        month=random.randint(1, 12),
        day=random.randint(2, 28),
        hour=random.randint(2, 11),
        count=random.randint(20, 999),
    )


def _cut(document: Document, tokens: int, tokenizer: Tokenizer) -> Document:
    """The longest beginning of a document that takes at most `tokens` tokens."""
    fits, too_long = 0, len(document.text) + 1
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if len(tokenizer.encode(document.text[:middle])) <= tokens:
            fits = middle
        else:
            too_long = middle
    return _made(int(document.id), document.text[:fits])


def _made(number: int, text: str) -> Document:
    return Document(str(number), text, Source(f"{number}.txt", "0" * 64, "utf-8", len(text)))
