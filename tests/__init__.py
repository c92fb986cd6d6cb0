"""The tests of Cauce."""
