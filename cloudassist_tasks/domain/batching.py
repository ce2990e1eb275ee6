"""How the runs of an invocation are handed to the queue: in batches, through a window.

The window counts the runs that are published and not yet claimed. It keeps the queue short, whatever
the size of an invocation: a small one never stands behind ten thousand messages, and a stop finds most
runs still unpublished. How many *run* at once is not decided here.
"""


def batches(total: int, size: int) -> list[range]:
    """All batches of `total` runs, by position."""
    return [range(start, min(start + size, total)) for start in range(0, total, size)]


def next_batch(*, published: int, total: int, unclaimed: int, window: int, low: int, size: int) -> range:
    """The positions to publish now; an empty range when nothing is wanted.

    Nothing unless fewer than `low` of the published runs are unclaimed, and never so much that more than
    `window` would be. With `low + size <= window + 1`, which `Limits` sees to, batches are never cut.
    """
    if unclaimed >= low:
        return range(published, published)
    room = max(0, window - unclaimed)
    return range(published, min(published + min(size, room), total))
