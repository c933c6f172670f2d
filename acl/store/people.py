"""Principals, groups and the pages that may act for them.

Names of principals and groups share one namespace, so a grant can name either.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from typing import Any

from django.db import connection, transaction

from acl.core import keys
from acl.core.errors import AlreadyThere, BadName, KeyFormatError, NoSuchHolder, RefusedError
from acl.models import AllowedOrigin, Group, Membership, Principal

OWNER = "owner"
_LONGEST_NAME = 64
# Persian and several scripts of India need them, and so do some emoji.
_JOINERS = str.maketrans("", "", "\u200c\u200d")
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_OWN_PORTS = {"https": ":443", "http": ":80"}


def is_set_up() -> bool:
    """Tell whether the tables are there: before the hub's first start they are not."""
    return Principal._meta.db_table in connection.introspection.table_names()


# -- principals ----------------------------------------------------------------------------------


def check_owner(identity_key: str | None) -> None:
    """Raise RefusedError where these tables belong to another identity than this one.

    None is a hub that has no identity yet: it may not make a new one for tables of somebody.
    """
    of_another = Principal.objects.filter(kind=Principal.Kind.OWNER)
    owner = of_another.exclude(key=identity_key or "").first()
    if owner is not None:
        raise RefusedError(
            f"The hub's database belongs to another identity, {keys.PREFIX}{owner.key}. Recover "
            "that one with: manage.py identity import. Or give this hub a database of its own: "
            "set DATABASE_URL, or HUB_DATA."
        )


@transaction.atomic
def register_own(identity_key: str, device_key: str, owner_key: str) -> None:
    """Note the owner's identity, this device and the owner's own client certificate.

    Raises RefusedError where the tables belong to another identity.
    """
    check_owner(identity_key)
    own = {
        OWNER: (identity_key, Principal.Kind.OWNER),
        "this device": (device_key, Principal.Kind.DEVICE),
        "owner client": (owner_key, Principal.Kind.DEVICE),
    }
    for name, (key, kind) in own.items():
        _register(name, key, kind)


def check_friendless() -> None:
    """Raise RefusedError where friends know this hub already."""
    if Principal.objects.filter(kind=Principal.Kind.FRIEND).exists():
        raise RefusedError(
            "This hub has friends already, who know it by its own identity. Become a device with a "
            "fresh hub: set HUB_DATA to a new folder. Or forget the friends here first."
        )


@transaction.atomic
def replace_owner(former_key: str, key: str) -> None:
    """Note that the owner's identity is another one now: this hub was adopted as a device."""
    Principal.objects.filter(kind=Principal.Kind.OWNER, key=former_key).update(key=key)


def _register(name: str, key: str, kind: str) -> None:
    known = Principal.objects.filter(key=key).first()
    if known is not None:
        if known.kind != kind:
            known.kind = kind
            known.save()
        return
    # Somebody may be called so already, the hub before this one for example: no key is ever
    # replaced by ours, because a device that is forgotten cannot be revoked.
    is_taken = Principal.objects.filter(name=name).exists()
    free = f"{name} {keys.short_key(key)}" if is_taken else name
    Principal.objects.create(name=free, key=key, kind=kind)


@transaction.atomic
def add_principal(name: str, key: str, kind: str = Principal.Kind.FRIEND) -> Principal:
    """Note a principal by its key; raises BadName, AlreadyThere."""
    check_free(name)
    known = Principal.objects.filter(key=key).first()
    if known is not None:
        raise AlreadyThere(
            f"This key is known already, as “{known.name}”{' (revoked)' if known.revoked else ''}. "
            "Use that name, or change it on the admin's pages."
        )
    return Principal.objects.create(name=name, key=key, kind=kind)


@transaction.atomic
def remove_principal(name: str) -> bool:
    """Forget a principal and its grants; False: it is a device, and revoked instead.

    The owner's identity has signed the certificates of the owner's devices, so a device that is
    forgotten would still be let in.  Raises NoSuchHolder, RefusedError.
    """
    principal = find_principal(name)
    if principal.kind == Principal.Kind.OWNER:
        raise RefusedError("This is your own identity: it cannot be removed.")
    if principal.kind == Principal.Kind.DEVICE:
        principal.revoked = True
        principal.save()
        return False
    principal.delete()
    return True


@transaction.atomic
def rename_principal(name: str, new_name: str) -> None:
    """Call a principal something else; raises NoSuchHolder, BadName, AlreadyThere."""
    principal = find_principal(name)
    # To itself the old name is not taken: “ann” may become “Ann”.
    Principal.objects.filter(pk=principal.pk).update(name=principal.key)
    check_free(new_name)
    principal.name = new_name
    principal.save()


def list_principals() -> list[Principal]:
    """Return all, by name."""
    return list(Principal.objects.order_by("name"))


@transaction.atomic
def allow_create_databases(name: str, allowed: bool = True) -> None:
    """Let a principal make databases, or no longer."""
    principal = find_principal(name)
    principal.may_create_databases = allowed
    principal.save()


@transaction.atomic
def allow_origin(name: str | None, origin: str) -> None:
    """Let pages of `origin` use the hub with this principal's certificate; None: with any."""
    principal = None if name is None else find_principal(name)
    line = {"origin": check_origin(origin), "principal": principal}
    # For everybody the table may hold it twice: to SQL, one NULL is not another.
    if not AllowedOrigin.objects.filter(**line).exists():
        AllowedOrigin.objects.create(**line)


@transaction.atomic
def disallow_origin(name: str | None, origin: str) -> None:
    """Refuse pages of `origin` again."""
    principal = None if name is None else find_principal(name)
    spellings = {origin.lower()}  # An older hub has kept what this one would refuse.
    with contextlib.suppress(BadName):
        spellings.add(check_origin(origin))
    found = AllowedOrigin.objects.filter(origin__in=spellings, principal=principal)
    if not found:
        raise NoSuchHolder(f"{origin} is not allowed. See which are with: manage.py principal list")
    found.delete()


def check_origin(origin: str) -> str:
    """Return an origin as browsers send it: in small letters, without its scheme's own port.

    Raises BadName, for a name that is not ASCII too: browsers send its `xn--` form.
    """
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None:
        raise BadName("An origin looks like https://app.example, without a path.")
    scheme, host, port = match.groups(default="")
    return f"{scheme}://{host}{'' if port == _OWN_PORTS.get(scheme) else port}"


def origins_by_principal() -> dict[int | None, list[str]]:
    """Return the allowed origins of each principal's id; those for everybody stand at None."""
    found: dict[int | None, list[str]] = {}
    for one in AllowedOrigin.objects.order_by("origin"):
        found.setdefault(one.principal_id, []).append(one.origin)
    return found


def find_principal(name: str) -> Principal:
    """Return the principal of this name; raises NoSuchHolder."""
    found = Principal.objects.filter(name=name).first()
    if found is None:
        raise NoSuchHolder(
            f"There is no principal called “{name}”. See them with: manage.py principal list"
        )
    return found


# -- groups --------------------------------------------------------------------------------------


@transaction.atomic
def add_group(name: str) -> Group:
    """Make a group; raises BadName, AlreadyThere."""
    check_free(name)
    return Group.objects.create(name=name)


@transaction.atomic
def remove_group(name: str) -> None:
    """Delete a group and its grants; its members stay."""
    _find_group(name).delete()


@transaction.atomic
def add_member(group: str, name: str) -> None:
    """Put a principal or a group into a group."""
    holder = find_holder(name)
    Membership.objects.get_or_create(group=_find_group(group), **_member(holder))


@transaction.atomic
def remove_member(group: str, name: str) -> None:
    """Take a principal or a group out of a group."""
    found = Membership.objects.filter(group=_find_group(group), **_member(find_holder(name)))
    if not found:
        raise NoSuchHolder(
            f"“{name}” is not in the group “{group}”. See who is with: manage.py group list"
        )
    found.delete()


def list_groups() -> list[tuple[str, list[str]]]:
    """Return (name, names of its members), by name."""
    groups = Group.objects.order_by("name").prefetch_related(
        "memberships__principal", "memberships__subgroup"
    )
    return [
        (group.name, sorted(str(one.principal or one.subgroup) for one in group.memberships.all()))
        for group in groups
    ]


def find_holder(name: str) -> Principal | Group:
    """Return who is called so, a principal or a group; raises NoSuchHolder."""
    found = Principal.objects.filter(name=name).first() or Group.objects.filter(name=name).first()
    if found is None:
        raise NoSuchHolder(
            f"Nobody is called “{name}”. Add a principal or a group of this name first."
        )
    return found


def check_free(name: str) -> None:
    """Raise BadName or AlreadyThere for a name that nobody can get."""
    shown = name.translate(_JOINERS)
    is_plain = bool(shown) and shown.isprintable() and "/" not in shown
    if not is_plain or name != name.strip() or len(name) > _LONGEST_NAME:
        raise BadName("A name has 1 to 64 printable characters and no slash.")
    if _reads_as_key(name):
        raise BadName("A name must not look like a key.")
    taken = {_skeleton(one): one for one in _all_names()}.get(_skeleton(name))
    if taken is not None:
        raise AlreadyThere(f"“{taken}” is taken. Choose another name.")


def _reads_as_key(name: str) -> bool:
    """Tell whether `_security` or a person could take the name for somebody's key."""
    if name.lower().startswith(keys.PREFIX) or keys.is_key_hash(name):
        return True
    with contextlib.suppress(KeyFormatError):
        return bool(keys.parse_key_text(name))
    return False


def _all_names() -> list[str]:
    return [
        *Principal.objects.values_list("name", flat=True),
        *Group.objects.values_list("name", flat=True),
    ]


def _skeleton(name: str) -> str:
    """Return what two names have in common that a person takes for one (UAX 15, UTS 39)."""
    folded = unicodedata.normalize("NFKC", name.translate(_JOINERS)).casefold()
    return unicodedata.normalize("NFKC", folded)


def _find_group(name: str) -> Group:
    found = Group.objects.filter(name=name).first()
    if found is None:
        raise NoSuchHolder(
            f"There is no group called “{name}”. Make it with: manage.py group add NAME"
        )
    return found


def _member(holder: Principal | Group) -> dict[str, Any]:
    return {"principal" if isinstance(holder, Principal) else "subgroup": holder}
