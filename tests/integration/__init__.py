"""Tests against real services and processes."""
