"""The server: takes tasks from clients over TCP, journals them, and has them published."""
