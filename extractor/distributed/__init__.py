"""Many machines, or many devices of one: documents are dealt out to workers with Ray Data.

One task reads, in parcels; each worker is an actor that holds one model, runs the pipeline of `extractor.pipeline` and
commits a part file for each parcel. What the workers tell the leading process is what they have committed, so that it
can be wrong about nothing. How a document is worked on this package does not know, and nothing else knows of Ray.

`machines.connected` comes first: Ray reads its environment when it is imported, and `leading` imports it.
"""
