"""The journal: one interface (`base`), and SQLite behind it."""
