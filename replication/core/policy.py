"""What runs now: battery and a connection that costs by the byte are spent on what is urgent.

The hub is the one coordinator of all databases and all peers, so it decides in one place which
priorities run.  What the system tells is taken as it is; what it does not tell, and what the owner
says otherwise, is up to the owner.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from replication.core.job import Priority

LOW: Final = 20
"""From this percentage of charge on, the battery is low."""


class Runs(enum.StrEnum):
    """Which priorities run: each line more than the one after it."""

    ALL = "all"
    NORMAL = "normal"
    """Those that are normal, and those that are urgent."""
    NOW = "now"
    NOTHING = "nothing"

    @property
    def priorities(self) -> frozenset[Priority]:
        """Those that run."""
        least = {Runs.ALL: 2, Runs.NORMAL: 1, Runs.NOW: 0, Runs.NOTHING: -1}[self]
        return frozenset(one for one in Priority if one.rank <= least)


class Network(enum.StrEnum):
    """What the owner says of the connection."""

    AUTO = "auto"
    FREE = "free"
    METERED = "metered"


class Power(enum.StrEnum):
    """What the owner says of the power."""

    AUTO = "auto"
    MAINS = "mains"
    BATTERY = "battery"


class Reason(enum.StrEnum):
    """Why something waits that is due."""

    METERED = "metered"
    BATTERY = "battery"
    LOW_BATTERY = "low battery"
    HOURS = "hours"
    """It is not the hour at which it runs, or at which the peer can be reached."""


WORDS: Final = {
    Reason.METERED: "on a metered connection",
    Reason.BATTERY: "on battery",
    Reason.LOW_BATTERY: "the battery is low",
    Reason.HOURS: "until its hours",
}
"""Each reason after the word "waits", for programs and commands."""


class Conditions(NamedTuple):
    """How it is now; None where nobody can tell."""

    metered: bool | None = None
    on_battery: bool | None = None
    charge: int | None = None
    """Percent."""


class Rules(NamedTuple):
    """What the owner wants to run in each case."""

    metered: Runs = Runs.NORMAL
    battery: Runs = Runs.NORMAL
    low: Runs = Runs.NOW


def effective(sensed: Conditions, network: Network, power: Power) -> Conditions:
    """Return the conditions that count: what the owner says goes before what the system tells."""
    metered = sensed.metered if network is Network.AUTO else network is Network.METERED
    on_battery = sensed.on_battery if power is Power.AUTO else power is Power.BATTERY
    return Conditions(metered, on_battery, sensed.charge)


def held(
    priority: Priority, conditions: Conditions, rules: Rules, *, near: bool = False
) -> Reason | None:
    """Return why this priority waits, None where it runs; `near`: it needs no connection."""
    if conditions.metered and not near and priority not in rules.metered.priorities:
        return Reason.METERED
    if not conditions.on_battery:
        return None
    if priority not in rules.battery.priorities:
        return Reason.BATTERY
    low = conditions.charge is not None and conditions.charge <= LOW
    return Reason.LOW_BATTERY if low and priority not in rules.low.priorities else None


def running(conditions: Conditions, rules: Rules, *, near: bool = False) -> frozenset[Priority]:
    """Return the priorities that run now."""
    return frozenset(one for one in Priority if held(one, conditions, rules, near=near) is None)
