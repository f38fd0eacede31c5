"""The pipeline's stages and their policies, each a pure module that knows no other."""
