"""Loads the fixtures that any test may ask for."""

pytest_plugins = ["tests.services.fixtures"]
