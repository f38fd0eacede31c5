"""Engines that are not ours: a model that another program serves over the OpenAI protocol, or vLLM.

`server` finds the model and says what is wrong with a connection, `counting` measures text in its tokens, `means` keeps
answers in shape by what the server takes, `reply` reads what it sends (`spelling` its tokens), `loop` runs requests
side by side, `plaintext` keeps documents from being taken for anything but text.

Knows prompts and completions; does not know how an answer is judged.
"""
