"""Tests of the model: checkpoint, tokenizer, chat, hub."""
