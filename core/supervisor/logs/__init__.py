"""The logs of the supervised processes: written, rotated, read back and followed."""
