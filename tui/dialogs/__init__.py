"""Questions and sheets that lie over the tabs. They give back a value, and do nothing themselves."""
