"""The form of what runs on battery and on a metered connection, of limits, and of hours."""

from __future__ import annotations

import time
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from discovery.core.errors import BadWindows
from replication import hours, manager
from replication.core.policy import Network, Power, Rules, Runs
from replication.store.policy import Chosen

_KB = 1000
_LARGEST = 10**9

_RUNS: list[tuple[str, str | Promise]] = [
    (Runs.ALL, _("Everything runs")),
    (Runs.NORMAL, _("What is urgent and what is usual runs")),
    (Runs.NOW, _("Only what is urgent runs")),
    (Runs.NOTHING, _("Nothing runs by itself")),
]


class HoursField(forms.CharField):
    """Windows of time as a person writes them here; its value is kept in UTC."""

    def __init__(self, **more: Any) -> None:
        text = _("Such as “Mon-Fri 18:00-20:00; Sat 09:00-12:00”; empty: always.")
        super().__init__(required=False, max_length=400, help_text=text, **more)

    def clean(self, value: Any) -> str:
        """Return the hours in UTC."""
        try:
            return hours.kept(super().clean(value), time.time())
        except BadWindows as error:
            raise forms.ValidationError(gettext(error.reason)) from error


class LimitField(forms.IntegerField):
    """Kilobytes a second; its value is in bytes, 0 for no limit."""

    def __init__(self, **more: Any) -> None:
        text = _("Empty: no limit.")
        super().__init__(required=False, min_value=2, max_value=_LARGEST, help_text=text, **more)

    def clean(self, value: Any) -> int:
        """Return bytes a second."""
        return int(super().clean(value) or 0) * _KB


class ThriftForm(forms.Form):
    """What the owner wants of battery, connection and hours."""

    network = forms.ChoiceField(
        label=_("The connection"),
        choices=[
            (Network.AUTO, _("As this machine tells")),
            (Network.FREE, _("Costs nothing by the byte")),
            (Network.METERED, _("Is metered")),
        ],
    )
    power = forms.ChoiceField(
        label=_("The power"),
        choices=[
            (Power.AUTO, _("As this machine tells")),
            (Power.MAINS, _("From the mains")),
            (Power.BATTERY, _("From the battery")),
        ],
    )
    on_metered = forms.ChoiceField(label=_("On a metered connection"), choices=_RUNS)
    on_battery = forms.ChoiceField(label=_("On battery"), choices=_RUNS)
    on_low = forms.ChoiceField(label=_("When the battery is low"), choices=_RUNS)
    limit = LimitField(label=_("Kilobytes a second at most, all together"))
    hours = HoursField(label=_("When others can reach this hub"))

    def __init__(self, *args: Any, **more: Any) -> None:
        # It stands beside another form that has fields of the same names.
        super().__init__(*args, auto_id="thrift_%s", **more)

    @classmethod
    def now(cls) -> ThriftForm:
        """Return it as things are."""
        chosen = manager.chosen()
        return cls(
            initial={
                "network": chosen.network,
                "power": chosen.power,
                "on_metered": chosen.rules.metered,
                "on_battery": chosen.rules.battery,
                "on_low": chosen.rules.low,
                "limit": chosen.limit // _KB or None,
                "hours": hours.shown(manager.reached(), time.time()),
            }
        )

    def keep(self) -> None:
        """Decide so; raises HubError."""
        given = self.cleaned_data
        rules = Rules(*(Runs(given[name]) for name in ("on_metered", "on_battery", "on_low")))
        network, power = Network(given["network"]), Power(given["power"])
        manager.choose(Chosen(network, power, rules, given["limit"]))
        manager.be_reached(given["hours"])
