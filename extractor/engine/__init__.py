"""Batch generation, from the outside in:

`engine` is the step, `scheduler` says who takes part in it, `cache` holds their keys and values, `packing` lays their
tokens side by side, `runner` is the forward pass (`linear`, `attention` are its products), `constraint` (`grammar`)
says which tokens may come, `choosing` takes one, `speculation` guesses several. A `sequence` is what goes through.
On CUDA `fused` attends, and `capture` makes graphs of the steps that only write answers.

Knows prompts as token ids and a source text; does not know documents, templates or records.
"""
