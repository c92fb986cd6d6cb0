"""The fault campaign: processes are killed, links cut, disks filled and servers attacked while tasks run."""
