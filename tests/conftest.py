"""Loads the fixtures that any test may ask for."""

pytest_plugins = ["tests.services.fixtures", "tests.services.nginx_fixtures", "tests.services.certificates"]
