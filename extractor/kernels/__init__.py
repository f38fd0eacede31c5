"""Every C source, the compiler of them, and a typed wrapper for each function."""
