"""What ordinary models of pydantic hold is right in the record however a document writes it."""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest
from pydantic import BaseModel

from extractor.backends.scripted import Backend
from extractor.config import RunConfig
from extractor.data import Json
from extractor.pipeline import Pipeline
from extractor.task.task import make_task
from tests.builders import a_document


class Deal(BaseModel):
    amount: Decimal | None = None
    units: int | None = None
    share: float | None = None
    signed: date | None = None
    opens: time | None = None
    begins: datetime | None = None
    lasts: timedelta | None = None


DOCUMENTS: list[tuple[str, dict[str, Json]]] = [
    (
        "Acme pays $3.5 million for twenty-five units (12.5 percent). Signed March 5th, 2024; opens at 9 am; "
        "begins March 6, 2024, 3:30 pm; lasts an hour and a half.",
        {"amount": 3500000, "units": 25, "share": 12.5, "signed": "2024-03-05", "opens": "09:00:00",
         "begins": "2024-03-06T15:30:00", "lasts": "PT1H30M"},
    ),
    (
        "Die Firma zahlt 1.200,50 € für 12 Stück (3,5 %). Unterschrieben am 5. März 2024, offen ab 14 Uhr.",
        {"amount": 1200.5, "units": 12, "share": 3.5, "signed": "2024-03-05", "opens": "14:00:00"},
    ),
    (
        "La société paie 1\u202f200\u202f000,00 € pour 10 lots, signé le 1er août 2024, ouverture à 9h30.",
        {"amount": 1200000, "units": 10, "signed": "2024-08-01", "opens": "09:30:00"},
    ),
    (
        "合同金额三百五十万元，共八万件，占百分之五，民国113年3月5日签订，下午三点半开门，2024年3月6日9点开始，历时两个半小时。",
        {"amount": 3500000, "units": 80000, "share": 0.05, "signed": "2024-03-05", "opens": "15:30:00",
         "begins": "2024-03-06T09:00:00", "lasts": "PT2H30M"},
    ),
    ("Loss for the year: ($1,200), 2 crore shares.", {"amount": -1200, "units": 20000000}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "data"), DOCUMENTS)
def test_what_a_document_says_in_its_own_notation_is_kept_with_its_place(text: str, data: dict[str, Json]) -> None:
    backend = Backend(answer=lambda _: json.dumps(data))
    (record,) = Pipeline(make_task(Deal.model_json_schema()), backend, RunConfig()).run([a_document(text)])
    assert (record.status, record.provenance.withheld) == ("ok", ())
    assert {name: value for name, value in (record.data or {}).items() if value is not None} == data
    assert record.spans.keys() == {f"/{name}" for name in data}
    assert Deal.model_validate(record.data)


@pytest.mark.parametrize(
    ("text", "name", "wrong"),
    [
        ("Die Firma zahlt 1.200,50 €.", "amount", 1.2),
        ("No one came, the hose is 3m long.", "units", 1),
        ("It lasted 1 hour and 30 minutes.", "lasts", "PT30M"),
        ("Opens at 9 pm.", "opens", "09:00:00"),
        ("Le 5 marché 2024", "signed", "2024-03-05"),
    ],
)
def test_what_a_document_does_not_say_is_withheld(text: str, name: str, wrong: Json) -> None:
    backend = Backend(answer=lambda _: json.dumps({name: wrong}))
    (record,) = Pipeline(make_task(Deal.model_json_schema()), backend, RunConfig()).run([a_document(text)])
    assert (record.data or {}).get(name) is None
    assert [each.value for each in record.provenance.withheld] == [wrong]
