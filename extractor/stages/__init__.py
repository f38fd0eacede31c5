"""The pipeline's stages and their policies: pure modules that know no other, wired by `pipeline`.

- `chunking`: Document -> Chunks that fit the model
- `prompting`: Chunk and Task -> Prompt
- `batching`: Prompts -> backend -> Completions, a bounded window at a time
- `parsing`: Completion -> Extraction | Rejection
- `confidence`: the probability of each value
- `grounding`: the place of each value in the text
- `thresholds`: values of too little confidence are withheld
- `references`: an answer whose values name nothing (`x-ref`) is rejected
- `merging`: all outcomes of a document -> Record
- `normalizing`: values in one notation, beside those of the text

Policies: `budget` divides the context, `sampling` sets temperature and seed, `retry` says what is asked after a
rejection, `passes` what is asked after an extraction.
"""
