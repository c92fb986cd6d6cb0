"""The monitor: reads the journal and the broker's depth, and makes one value of it a moment, the snapshot."""
