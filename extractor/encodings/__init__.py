"""The text encoding of bytes: detected (`detect`), or declared and checked (`declared`)."""
