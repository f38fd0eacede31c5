"""Where values, numbers and dates occur in a text, in whatever notation; whether two values are equal; strict JSON."""
