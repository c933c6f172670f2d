"""What can be wrong with Bluetooth, in words, and what the finder asks of a radio."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol


class Words(NamedTuple):
    """Why something is so, and what a person can do about it."""

    why: str
    what_to_do: str


class Trouble(Exception):
    """Bluetooth cannot be used now."""

    def __init__(self, words: Words) -> None:
        super().__init__(words.why)
        self.words = words


class Radio(Protocol):
    """What advertises and serves, on one adapter; made anew after each trouble."""

    adapter: str
    """Its name, such as `hci0`, once it is open."""

    async def open(self) -> None:
        """Get ready; raises Trouble."""

    async def serve(self, data: bytes, stream: bytes) -> None:
        """Send this service data, and hand out this stream, instead of others; raises Trouble."""

    async def silence(self) -> None:
        """Send and hand out nothing; raises Trouble."""

    async def gone(self) -> None:
        """Wait until it cannot go on."""

    async def close(self) -> None:
        """Stop all."""

    @property
    def warning(self) -> Words | None:
        """What a person should know although it works."""


NO_BUS: Final = Words(
    "This hub cannot speak to the system's Bluetooth: there is no D-Bus.",
    "Start the service dbus; in a container, mount /run/dbus into it.",
)
NO_BLUEZ: Final = Words(
    "The system's Bluetooth does not run.",
    "Install BlueZ 5.55 or newer, and start the service bluetooth.",
)
TOO_OLD: Final = Words(
    "The system's Bluetooth is too old.",
    "Install BlueZ 5.55 or newer.",
)
NO_ADAPTER: Final = Words(
    "This machine has no Bluetooth adapter.",
    "Plug one in; it is used as soon as it is there.",
)
SWITCHED_OFF: Final = Words(
    "The Bluetooth adapter is switched off.",
    "Switch it on in the system's settings, or by: bluetoothctl power on",
)
NO_ADVERTS: Final = Words(
    "The Bluetooth adapter cannot announce anything.",
    "Use one with Bluetooth 4.0 or newer (Low Energy).",
)
DENIED: Final = Words(
    "The system does not let this hub use Bluetooth.",
    "Add the user that the hub runs as to the group bluetooth, and start the hub again.",
)
REFUSED: Final = Words(
    "The Bluetooth adapter has refused to announce this hub.",
    "Look whether other programs announce something by Bluetooth; it is tried again.",
)
GONE: Final = Words(
    "The system's Bluetooth has just gone.",
    "Nothing: it is used again as soon as it is there.",
)
PUBLIC: Final = Words(
    "While this hub announces something, its Bluetooth adapter may show its fixed address, by "
    "which a stranger can recognise this machine.",
    "Write Privacy = device below [General] in /etc/bluetooth/main.conf, and start the service "
    "bluetooth again.",
)
