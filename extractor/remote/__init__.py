"""A model that another program serves over the OpenAI protocol.

`server` finds the model and says what is wrong with a connection, `counting` measures text in its tokens, `means` keeps
answers in shape by what the server takes, `reply` reads what it sends, `loop` runs requests side by side.

Knows prompts and completions; does not know how an answer is judged.
"""
