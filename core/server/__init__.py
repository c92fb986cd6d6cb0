"""The server: accepts tasks from clients over TCP, stores them in the journal, and publishes them to the broker."""
