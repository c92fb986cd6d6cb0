"""Rules for the source code that the linters don't check."""
