"""Every error of finding others and of pairing with them, as one tree.

    DiscoveryError
    +-- AddressError            400
    +-- UnreachableError        504   worth another try
    |   +-- TorFailed           504
    |   +-- TorOff              504
    |   +-- TorOnly             504
    |   +-- OnionsOnly          504
    |   +-- NobodyAtOnion       504
    |   +-- NotInTor            504
    |   +-- NotAuthorized       504
    |   +-- WrongOnion          504
    +-- WrongKeyError           502
    +-- OurselvesError          400
    +-- BadWindows              400
    +-- PairingError            400
        +-- MessageError        400
        +-- InvitationError     400
        |   +-- InvitationExpired 410
        +-- NotArmed            403
        +-- NotOffered          403
        +-- NoSuchPairing       404
        +-- WrongState          409
        +-- UsedTwice           409
        +-- BadCommitment       422
        +-- CodesDiffer         422
        +-- KeyChanged          422
        +-- Locked              429

A docstring is the text that the person reads.
"""

from __future__ import annotations

from acl.core.errors import HubError


class DiscoveryError(HubError):
    """The other hub could not be reached."""

    status = 502
    word = "bad_gateway"

    def __init_subclass__(cls) -> None:
        """Take the reason from the docstring."""
        cls.reason = " ".join((cls.__doc__ or "").split())


class AddressError(DiscoveryError):
    """This is not an address. An address looks like 192.168.1.20:6984 or [fe80::1]:6984."""

    status = 400
    word = "bad_request"


class UnreachableError(DiscoveryError):
    """Nobody answers at this address. Is the other hub running, and in the same network?"""

    status = 504
    word = "gateway_timeout"


class TorFailed(UnreachableError):
    """The other hub could not be reached through Tor just now. It is tried again."""


class TorOff(UnreachableError):
    """This hub is reached through Tor alone, and Tor is off here. Switch it on first."""


class TorOnly(UnreachableError):
    """Everything goes through Tor here, which leads to no address in your own network."""


class OnionsOnly(UnreachableError):
    """Tor connects to onion addresses alone here, and this is another address."""


class NobodyAtOnion(UnreachableError):
    """Tor has found the other machine, but no hub answers there. Is it running?"""


class NotInTor(UnreachableError):
    """The other hub is not in Tor now. Is it running, and is Tor switched on there?"""


class NotAuthorized(UnreachableError):
    """The other hub lets contacts alone connect through Tor, and does not know this hub as one."""


class WrongOnion(UnreachableError):
    """There is no such onion address: a letter of it is wrong. Copy it again."""


class WrongKeyError(DiscoveryError):
    """Another hub answers there than the one that was asked for. Nothing was sent to it."""


class OurselvesError(DiscoveryError):
    """This is the address of this very hub."""

    status = 400
    word = "bad_request"


class BadWindows(DiscoveryError):
    """Times are given as “Mon-Fri 18:00-20:00; Sat 09:00-12:00”, or “22:00-06:00” for every day."""

    status = 400
    word = "bad_request"


class PairingError(DiscoveryError):
    """The two hubs could not exchange identities."""

    status = 400
    word = "bad_request"


class MessageError(PairingError):
    """The other hub has sent something that this one does not understand. Are both up to date?"""


class InvitationError(PairingError):
    """This is not an invitation. Paste the whole text, or scan the code again."""


class InvitationExpired(InvitationError):
    """This invitation has expired. Ask for a new one."""

    status = 410
    word = "gone"


class NotArmed(PairingError):
    """The other hub is not ready to compare. Press the button on both, then try again."""

    status = 403
    word = "forbidden"


class NotOffered(PairingError):
    """The other hub does not know this code or invitation. Ask for a new one."""

    status = 403
    word = "forbidden"


class NoSuchPairing(PairingError):
    """There is no such pairing. See them with: manage.py pairing list"""

    status = 404
    word = "not_found"


class WrongState(PairingError):
    """This cannot be done now: the pairing is over, or is not so far yet. Begin again."""

    status = 409
    word = "conflict"


class UsedTwice(PairingError):
    """This code was used a second time: somebody else may have seen it. Make a new one."""

    status = 409
    word = "conflict"


class BadCommitment(PairingError):
    """The other side did not keep to what it had promised. Somebody may sit between you: stop."""

    status = 422
    word = "unprocessable"


class CodesDiffer(PairingError):
    """The two hubs did not see the same. Somebody may sit between you: stop."""

    status = 422
    word = "unprocessable"


class KeyChanged(PairingError):
    """Another key was shown than the one that you know. Ask the person before you go on."""

    status = 422
    word = "unprocessable"


class Locked(PairingError):
    """Too many comparisons have failed. Wait a while, or send an invitation instead."""

    status = 429
    word = "too_many_requests"
