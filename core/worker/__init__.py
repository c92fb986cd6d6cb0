"""The worker: takes tasks from the broker, runs each in a thread, and stores what came of it before it says so."""
