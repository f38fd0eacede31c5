"""Which text encoding some bytes are in."""
