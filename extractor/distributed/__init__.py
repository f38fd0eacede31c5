"""A run on many machines, or on many devices of one: Ray Data distributes batches of documents to workers.

    coordinator -> reader task -> batches -> workers (an actor with a model each) -> part files -> coordinator

One task reads the documents in batches; each worker runs the pipeline of `extractor.pipeline` and commits a part file
for each batch. The coordinator counts only what is committed, so that it cannot be wrong about anything. This package
does not know how a document is worked on, and nothing else knows of Ray.

`resources.connect` comes first: Ray reads its environment when it is imported, and `coordinator` imports it.
"""
