"""The form by which the owner has one more database kept in step with somebody."""

from __future__ import annotations

import time
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from acl import store as people
from acl.models import Principal
from replication import manager
from replication.core.job import MY_DEVICES, Direction, Mode, Priority, Wish
from replication.core.options import LATER, WITH, Options
from thalihub.pages.thriftform import HoursField, LimitField

_MINUTE = 60
_USUAL = 60
_MORE = ("priority", "hours", "limit", "later")


class SyncForm(forms.Form):
    """One more wish to replicate."""

    database = forms.CharField(
        label=_("Database"),
        max_length=238,
        widget=forms.TextInput(
            attrs={"list": "databases", "autocapitalize": "none", "autocomplete": "off"}
        ),
        help_text=_("Its name here and there. What is fetched gets its database by itself."),
    )
    peer = forms.ChoiceField(label=_("With whom"))
    direction = forms.ChoiceField(
        label=_("Which way"),
        choices=[
            (Direction.PULL, _("Fetch from there")),
            (Direction.PUSH, _("Send to there")),
            (Direction.BOTH, _("Both ways")),
        ],
    )
    mode = forms.ChoiceField(
        label=_("How often"),
        choices=[
            (Mode.CONTINUOUS, _("Always, as changes come")),
            (Mode.ONCE, _("Once")),
            (Mode.PERIODIC, _("Now and then")),
        ],
    )
    minutes = forms.IntegerField(
        label=_("Minutes between two times"),
        min_value=1,
        max_value=366 * 24 * 60,
        initial=_USUAL,
        required=False,
        help_text=_("Only for “Now and then”."),
    )

    priority = forms.ChoiceField(
        label=_("How urgent"),
        initial=Priority.NORMAL,
        required=False,
        choices=[
            (Priority.NOW, _("Before everything else")),
            (Priority.NORMAL, _("As usual")),
            (Priority.BACKGROUND, _("When nothing else is to do")),
        ],
        help_text=_("On battery or a metered connection only what is urgent enough runs."),
    )
    hours = HoursField(label=_("Only at these hours"))
    limit = LimitField(label=_("Kilobytes a second at most"))
    later = forms.BooleanField(
        label=_("Attachments after all other documents"),
        required=False,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = people.list_principals()
        friends = [
            one.name for one in known if one.kind == Principal.Kind.FRIEND and not one.revoked
        ]
        named = [*friends, *(name for name, _members in people.list_groups())]
        self.fields["peer"].choices = [
            (MY_DEVICES, _("All my devices")),
            *((name, name) for name in named),
        ]

    def begin(self) -> None:
        """Keep the wish; raises HubError."""
        given = self.cleaned_data
        mode = Mode(given["mode"])
        every = (given["minutes"] or _USUAL) * _MINUTE if mode is Mode.PERIODIC else 0
        wish = Wish(
            given["database"],
            given["peer"],
            Direction(given["direction"]),
            mode,
            every,
            Priority(given["priority"] or Priority.NORMAL),
            Options(attachments=LATER if given["later"] else WITH),
            windows=given["hours"],
            limit=given["limit"],
        )
        manager.add(wish, time.time())

    @property
    def usual(self) -> list[forms.BoundField]:
        """What everybody fills in."""
        return [self[name] for name in self.fields if name not in _MORE]

    @property
    def more(self) -> list[forms.BoundField]:
        """What only some need."""
        return [self[name] for name in _MORE]

    @property
    def needs_more(self) -> bool:
        """Tell whether something of that is wrong."""
        return any(name in self.errors for name in _MORE)
