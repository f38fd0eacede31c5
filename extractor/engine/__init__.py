"""The inference engine: continuous batching of constrained decoding, from the outside in.

- `engine_thread`: an engine in a thread of its own
- `engine`: one step, from admission to outputs; `sequence` is what goes through it
- `scheduler`: admission, chunked prefill, preemption; `prefix_cache`: what many prompts begin with
- `kv_cache`: slots and pools; `batch`: the tokens of a step, side by side
- `model_runner`: the forward pass; `linear`, `attention`, `flash_attention`, `operations`: what it computes with;
  `virtual_tokens`: a P-Tuning prefix in it; `cuda_graphs`: decode steps captured
- `constraint`: token masks by a grammar; `sampler`: the next token; `speculation`: draft tokens
- `platforms`: what the machine allows

Knows prompts as token ids and a source text; does not know documents, templates or records.
"""
