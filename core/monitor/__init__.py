"""The monitor: reads the journal and the broker's depth, and makes a snapshot of them."""
