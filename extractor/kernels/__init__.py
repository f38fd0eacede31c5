"""Every C source, its compiler, and a typed wrapper for each function.

    attention.c   attention.py   norms, rotation with the write into the KV cache, attention, masked argmax
    prefill.c                    attention of prompts on vectors, for processors without AMX
    amx.c         tiled.py       products with weights in bfloat16, int8 and int4 on AMX tiles
    vectors.c                    ... in bfloat16 on vectors, for processors without AMX
    integers.c                   ... in int8 and int4 on vectors, with VNNI where there is one
    *.h           jit.py         shared by the C sources; compiles, caches and loads a library
                  checks.py      what a wrapper checks before it passes an address to C
                  processor.py   the instructions that they are compiled for

Nothing outside this room knows ctypes. Each module offers its functions only where the library exists (gcc, x86-64,
`EXTRACTOR_KERNELS` not 0); the caller keeps a fallback in torch's operations.
"""
