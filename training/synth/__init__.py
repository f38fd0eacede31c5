"""Synthetic documents with known answers; every choice comes from one `random.Random`, so a seed is a data set."""
