"""Loads the shared fixtures."""

pytest_plugins = ["tests.services.fixtures", "tests.services.nginx_fixtures", "tests.services.certificates"]
