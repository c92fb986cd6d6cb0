"""The runner: the process in which a worker runs the user's tasks.

It holds no connection but the socket to its worker, so nothing that a task does can reach the journal or the broker.
"""
