"""Slides that are tried: claimed by one process, counted before they begin, set aside where they never end.

What `watch` and `cohort` share. The record is on the disk, so that a process that is killed counts too.
"""

from her2edge.attempts.aside import SetAside
from her2edge.attempts.once import Busy, Done, Failed, GivenUp, Tried, give_up, try_once
from her2edge.attempts.records import Attempts, refuse_links

__all__ = [
    "Attempts",
    "Busy",
    "Done",
    "Failed",
    "GivenUp",
    "SetAside",
    "Tried",
    "give_up",
    "refuse_links",
    "try_once",
]
