"""What the code must look like, as far as a program can tell and the linters can't."""
