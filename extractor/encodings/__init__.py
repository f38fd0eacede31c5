"""The text encoding of bytes: detected (`detect`), or declared and checked (`declared`)."""

import codecs

from extractor.encodings import euc_tw

codecs.register(euc_tw.search)
