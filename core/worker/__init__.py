"""The worker: takes tasks from the broker, runs each in a thread, and stores the outcome before it acknowledges."""
