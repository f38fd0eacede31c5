"""Every C source, its compiler, and a typed wrapper for each function.

    attention.c   attention.py   norms, rotation with the write into the KV cache, attention, masked argmax
    amx.c         amx.py         products with weights in bfloat16, int8 and int4 on AMX tiles
    quantized.c   quantized.py   rows to int8, what follows an int8 product, int4 products without AMX
    *.h           jit.py         shared by the C sources; compiles, caches and loads a library
                  checks.py      what a wrapper checks before it passes an address to C

Nothing outside this room knows ctypes. Each module offers its functions only where the library exists (gcc, x86-64,
`EXTRACTOR_KERNELS` not 0); the caller keeps a fallback in torch's operations.
"""
