"""One file per document format, and nothing else: what a module declares is in `_support.protocol.Reader`.

Adding a file adds the format. So does an entry point of the group `extractor.readers` in another installed package.
"""
