"""Others: whom the hub replicates with, how it is reached and finds them, whom it refuses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from discovery import store as discovery
from discovery.core.onion import State
from replication import manager
from thalihub import refusals, store
from thalihub.doctor import Finding, Light, concern
from thalihub.refusals import Count, Why

_REACHED = (State.REACHABLE, State.PUBLISHED, State.CLOSED)
_ILL = (State.MISSING, State.FAILED)
_MANY_REFUSED = 10


@concern("replication")
def replication(now: float) -> Sequence[Finding]:
    """Look at each peer."""
    errors = defaultdict[str, set[str]](set)
    behind = defaultdict[str, int](int)
    for job in manager.listing(now):
        for link in job["links"]:
            behind[link["peer"]] += link["changes_behind"] or 0
            errors[link["peer"]] |= {link["error"]} - {None, ""}
    return [_peer(name, errors[name], behind[name]) for name in sorted(behind)]


def _peer(name: str, errors: set[str], behind: int) -> Finding:
    label = _("In step with %(name)s") % {"name": name}
    if errors:
        said = " ".join(sorted(errors))
        return Finding("replication", label, Light.AMBER, said, _("Look why"), "sync", about=name)
    said = _("In step")
    if behind:
        said = ngettext("%(n)s change to go", "%(n)s changes to go", behind) % {"n": behind}
    return Finding("replication", label, Light.GREEN, said, about=name)


@concern("tor")
def tor(now: float) -> Sequence[Finding]:
    """Look whether others can reach this hub through Tor."""
    row = discovery.tor_or_none()
    if row is None or not row.wanted:
        return [Finding("tor", "Tor", Light.OFF, _("Is off."))]
    state = State(row.state)
    if state in _ILL or row.problem:
        said = row.problem or _("It does not work.")
        return [Finding("tor", "Tor", Light.RED, said, _("Look why"), "tor")]
    if state in _REACHED:
        return [Finding("tor", "Tor", Light.GREEN, _("It is on."))]
    return [Finding("tor", "Tor", Light.AMBER, _("It is starting."), _("Wait for a minute."))]


@concern("discovery")
def nearby(now: float) -> Sequence[Finding]:
    """Look whether hubs nearby can be found."""
    label = _("Hubs nearby")
    if not discovery.is_wanted():
        return [Finding("discovery", label, Light.OFF, _("Is off."))]
    said = discovery.switch().said
    if not said:
        return [Finding("discovery", label, Light.AMBER, _("It is starting."), _("Wait."))]
    ill = [one["why"] for one in said.get("finders", {}).values() if one.get("why")]
    if ill:
        return [Finding("discovery", label, Light.AMBER, " ".join(ill), _("Look"), "nearby")]
    return [Finding("discovery", label, Light.GREEN, _("It looks for them."))]


@concern("refused")
def refused(now: float) -> Sequence[Finding]:
    """Count the wrong passwords of the last day, and what the API has refused."""
    return [_logins(store.wrong_logins(now)), _requests(refusals.look(now))]


def _requests(counts: Mapping[Why, Count]) -> Finding:
    found = {why.name.lower(): count.within_a_day for why, count in counts.items()}
    said = _(
        "Within a day: %(unknown)s from strangers, %(forbidden)s without the right to it, "
        "%(tls)s connections without TLS or with a broken one"
    )
    return Finding("refused", _("Refused requests"), Light.GREEN, said % found)


def _logins(count: int) -> Finding:
    label = _("Refused logins")
    said = ngettext(
        "%(n)s wrong password within a day", "%(n)s wrong passwords within a day", count
    ) % {"n": count}
    if count >= _MANY_REFUSED:
        to_do = _("If that was not you, change your password.")
        return Finding("refused", label, Light.AMBER, said, to_do, "admin:password_change")
    return Finding("refused", label, Light.GREEN, said)
