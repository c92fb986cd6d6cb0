"""Measures the memory of other processes."""


def resident(pid: int) -> int:
    """Return the bytes of memory that a process has (its resident set), or 0 if it has gone."""
    import psutil  # takes long to import, and few workers need it

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
