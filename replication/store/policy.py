"""What the owner says of battery, connection and limits, and what the system tells: one row."""

from __future__ import annotations

from typing import NamedTuple

from acl.sql import Sql
from couchapi import wakeups
from replication.core import policy
from replication.core.job import Priority
from replication.core.policy import Conditions, Network, Power, Rules, Runs
from replication.store.jobs import JOBS

_ONLY = 1
_COLUMNS = (
    "network, power, on_metered, on_battery, on_low, bytes_per_second, is_metered, is_on_battery,"
    " charge"
)


class Chosen(NamedTuple):
    """What the owner has chosen."""

    network: Network = Network.AUTO
    power: Power = Power.AUTO
    rules: Rules = Rules()
    limit: int = 0
    """Bytes a second of all runs together; 0: none."""


class Kept(NamedTuple):
    """What counts now."""

    chosen: Chosen = Chosen()
    sensed: Conditions = Conditions()

    @property
    def conditions(self) -> Conditions:
        """How it is, with what the owner says of it."""
        return policy.effective(self.sensed, self.chosen.network, self.chosen.power)

    def running(self, *, near: bool = False) -> frozenset[Priority]:
        """Return the priorities that run now."""
        return policy.running(self.conditions, self.chosen.rules, near=near)

    def held(self, priority: Priority, *, near: bool = False) -> policy.Reason | None:
        """Return why a priority waits."""
        return policy.held(priority, self.conditions, self.chosen.rules, near=near)


def read(sql: Sql) -> Kept:
    """Return what counts now."""
    row = sql.one(f"SELECT {_COLUMNS} FROM replication_policy WHERE id = %s", (_ONLY,))
    if row is None:
        return Kept()
    network, power, metered, battery, low, limit, is_metered, is_on_battery, charge = row
    rules = Rules(Runs(metered), Runs(battery), Runs(low))
    return Kept(
        Chosen(Network(network), Power(power), rules, limit),
        Conditions(_known(is_metered), _known(is_on_battery), charge),
    )


def _known(value: object) -> bool | None:
    # SQLite has no booleans.
    return None if value is None else bool(value)


def choose(sql: Sql, chosen: Chosen) -> None:
    """Keep what the owner has chosen; what waited for that runs."""
    network, power, rules, limit = chosen
    _keep(sql)
    sql.execute(
        "UPDATE replication_policy SET network = %s, power = %s, on_metered = %s,"
        " on_battery = %s, on_low = %s, bytes_per_second = %s WHERE id = %s",
        (network.value, power.value, *(one.value for one in rules), limit, _ONLY),
    )
    sql.after_commit(wakeups.announce, JOBS)


def sense(sql: Sql, conditions: Conditions) -> None:
    """Keep what the system tells."""
    _keep(sql)
    sql.execute(
        "UPDATE replication_policy SET is_metered = %s, is_on_battery = %s, charge = %s"
        " WHERE id = %s",
        (*conditions, _ONLY),
    )
    sql.after_commit(wakeups.announce, JOBS)


def _keep(sql: Sql) -> None:
    chosen = Chosen()
    sql.execute(
        "INSERT INTO replication_policy (id, network, power, on_metered, on_battery, on_low,"
        " bytes_per_second) VALUES (%s, %s, %s, %s, %s, %s, 0) ON CONFLICT (id) DO NOTHING",
        (_ONLY, chosen.network.value, chosen.power.value, *(one.value for one in chosen.rules)),
    )


def may_run(sql: Sql, now: float) -> tuple[str, tuple[object, ...]]:
    """Return the condition on a link `l` and its job `j` that it may run now, and its parameters.

    What somebody has said to run now runs whatever the hour and the battery.
    """
    kept = read(sql)
    far, near = _listed(kept.running()), _listed(kept.running(near=True))
    text = (
        "(l.forced OR (l.opens_at <= %s AND l.closes_at > %s AND (j.priority IN (" + far + ")"
        " OR (substr(j.peer, 1, 6) = 'local:' AND j.priority IN (" + near + ")))))"
    )
    return text, (now, now)


def _listed(priorities: frozenset[Priority]) -> str:
    return ", ".join(f"'{one.value}'" for one in priorities) or "''"
