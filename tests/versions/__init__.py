"""The tests with the versions of another Debian."""
