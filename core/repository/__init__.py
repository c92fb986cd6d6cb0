"""The journal: its interfaces (`base`, `archive`), and SQLite behind them."""
