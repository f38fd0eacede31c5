"""Values of options are read as people write them."""

import click
import pytest

from extractor.cli._options import Size


@pytest.mark.parametrize(
    ("written", "size"),
    [("1000", 1000), ("512M", 512 * 2**20), ("4G", 4 * 2**30), ("1.5 GiB", 3 * 2**29), ("2kb", 2048), ("1T", 2**40)],
)
def test_a_size_is_a_number_with_a_power_of_1024(written: str, size: int) -> None:
    assert Size().convert(written, None, None) == size


@pytest.mark.parametrize("written", ["", "much", "-1G", "4X", "G"])
def test_what_is_not_a_size_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(click.BadParameter, match="512M, 4G"):
        Size().convert(written, None, None)
