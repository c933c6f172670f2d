"""The processes: frontend, worker, scheduler, keeper; and what they need from each other."""

from __future__ import annotations

from collections.abc import Sequence

import redis
from django.conf import settings
from django.utils.translation import gettext as _

from thalihub import alive, store
from thalihub.doctor import Finding, Light, concern

_NEW_SECONDS = 60
_LATE = 3
"""So many beats may be missed."""
_LEAST_LATE_SECONDS = 150


@concern("frontend")
def frontend(now: float) -> Sequence[Finding]:
    """Look at the web processes."""
    return [_of("frontend", _("Frontend"), "web", now)]


@concern("worker")
def worker(now: float) -> Sequence[Finding]:
    """Look at the worker."""
    return [_of("worker", _("Worker"), "worker", now)]


@concern("keeper")
def keeper(now: float) -> Sequence[Finding]:
    """Look at the process that waits for changes of others."""
    return [_of("keeper", _("Waiting for others"), "keeper", now)]


def _of(name: str, label: str, prefix: str, now: float) -> Finding:
    known = [one for one in alive.look(settings.HUB_DATA) if one.name.split()[0] == prefix]
    living = [one for one in known if one.is_alive]
    if not known and settings.HUB_ROLES and prefix not in settings.HUB_ROLES:
        return Finding(name, label, Light.OFF, _("It is not a part of this host (HUB_ROLES)."))
    if not known:
        return Finding(
            name, label, Light.RED, _("It does not run."), _("Start the hub: manage.py hub")
        )
    if not living:
        to_do = _("It is started again by itself. If it stays so, look into the hub's log.")
        return Finding(name, label, Light.RED, _("It has ended unexpectedly."), to_do)
    if any(one.after_death and now - one.since < _NEW_SECONDS for one in living):
        to_do = _("Nothing now. If it happens again, look into the hub's log.")
        said = _("It had ended unexpectedly, and was started again.")
        return Finding(name, label, Light.AMBER, said, to_do)
    if len(living) < len(known):
        said = _("%(n)s of %(all)s run.") % {"n": len(living), "all": len(known)}
        return Finding(name, label, Light.AMBER, said, _("The others are started again."))
    return Finding(name, label, Light.GREEN, _("It runs."))


@concern("scheduler")
def scheduler(now: float) -> Sequence[Finding]:
    """Look when the worker was last sent to look at what is due."""
    label, seen = _("Scheduler"), store.last_beat()
    late = max(_LATE * settings.HUB_BACKUP_SECONDS, _LEAST_LATE_SECONDS)
    if seen is None:
        said = _("It has not looked yet.")
        return [Finding("scheduler", label, Light.AMBER, said, _("Wait for a minute."))]
    if now - seen > late:
        said = _("Nothing was begun by the clock for %(n)s minutes.") % {"n": int(now - seen) // 60}
        return [Finding("scheduler", label, Light.RED, said, _("Restart the hub."))]
    return [Finding("scheduler", label, Light.GREEN, _("It begins what is due."))]


@concern("redis")
def queue(now: float) -> Sequence[Finding]:
    """Look whether Redis answers, where it is used."""
    if not settings.REDIS_URL:
        return []
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2
        ) as server:
            server.ping()
    except redis.RedisError:
        to_do = _("Start Redis, or correct REDIS_URL. No work is lost meanwhile.")
        return [Finding("redis", "Redis", Light.RED, _("It does not answer."), to_do)]
    return [Finding("redis", "Redis", Light.GREEN, _("It answers."))]
