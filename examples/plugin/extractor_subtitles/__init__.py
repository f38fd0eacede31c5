"""What another package can add to extractor: `pip install` it, and `.srt`, `.md` and `--backend patterns` are there."""
