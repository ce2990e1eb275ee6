"""Which instants a cron expression means where clocks are put forward and back.

Two readings, as cron has had them since Vixie's:

- *A time of day* (the hours are restricted: 02:30 each day) comes once for each time the calendar names. One
  that the clock jumps over counts from the clock as it was before, so 02:30 is 03:30 that day; where that
  is a time of its own, both are one. A time that the clock shows twice is the first.
- *A rhythm* (every hour: at minutes 0, 20 and 40) follows the clock as it is seen. What it jumps over did
  not come and is not made up, what it shows twice comes twice, so that a rhythm has no hole of an hour.

The set of instants does not depend on where one begins to look. Times are those of zones.py.
"""

from collections.abc import Callable

from cloudassist_tasks.domain.schedule.zones import DAY_S, LONGEST_CHANGE_S, Zone

WallAfter = Callable[[int], int | None]
"""The first wall time, after the one given, that an expression names; None: there is no more."""


def next_time_of_day(wall_after: WallAfter, zone: Zone, after_s: int) -> int | None:
    """The first instant after `after_s`, where each wall time counts once."""
    offset_s, earlier_s = zone.offset_s(after_s), zone.offset_s(after_s - LONGEST_CHANGE_S)
    found = [_once(wall_after, zone, after_s, wall_after(after_s + offset_s))]
    if earlier_s < offset_s:  # the clock was put forward: what it jumped over may still be to come
        found.append(_once(wall_after, zone, after_s, wall_after(after_s + earlier_s)))
    return min((instant_s for instant_s in found if instant_s is not None), default=None)


def _once(wall_after: WallAfter, zone: Zone, after_s: int, wall_s: int | None) -> int | None:
    if wall_s is None:
        return None
    instant_s = zone.instant_s(wall_s)
    if not zone.is_in_change(wall_s):
        return instant_s if instant_s > after_s else None
    behind_s = wall_after(zone.change_end_s(wall_s) - 1)
    found = [instant_s] if behind_s is None else [instant_s, zone.instant_s(behind_s)]
    return min((instant_s for instant_s in found if instant_s > after_s), default=None)


def next_of_rhythm(wall_after: WallAfter, zone: Zone, after_s: int) -> int | None:
    """The first instant after `after_s` at which the clock shows a time that is named."""
    offset_s = zone.offset_s(after_s)
    wall_s = wall_after(after_s + offset_s)
    seen_s = after_s + DAY_S if wall_s is None else min(wall_s - offset_s, after_s + DAY_S)
    if zone.offset_s(seen_s) != offset_s:
        change_s = zone.change_s(after_s, seen_s)
        if wall_s is None or wall_s - offset_s >= change_s:
            offset_s = zone.offset_s(change_s)
            wall_s = wall_after(change_s + offset_s - 1)
            if wall_s is not None and wall_s - offset_s < change_s + DAY_S:
                return wall_s - offset_s
    if wall_s is not None and not zone.is_shown(wall_s):
        wall_s = wall_after(zone.change_end_s(wall_s) - 1)
    if wall_s is None:
        return None
    instant_s = zone.instant_s(wall_s)
    return instant_s if instant_s > after_s else zone.instant_s(wall_s, again=True)
