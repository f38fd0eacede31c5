from tests.cli.conftest import extractor

__all__ = ["extractor"]
