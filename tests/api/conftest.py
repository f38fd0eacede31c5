"""The demo model for all tests of this folder, asked for the rows of a pydantic model."""

from collections.abc import Iterator

import pydantic
import pytest

from extractor import Extractor

TEXT = "手机号18888888888，邮箱：service@lanting-coffee.com"


class Contact(pydantic.BaseModel):
    """English names for fields that the model is asked about in Chinese."""

    phone: str = pydantic.Field(alias="手机号")
    mail: str | None = pydantic.Field(None, alias="邮箱")


FOUND = Contact(手机号="18888888888", 邮箱="service@lanting-coffee.com")


@pytest.fixture(scope="session")
def contacts() -> Iterator[Extractor[Contact]]:
    with Extractor(Contact) as extractor:
        yield extractor
