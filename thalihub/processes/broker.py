"""The folder that carries tasks where there is no Redis: kombu's, but a message appears whole.

Kombu opens a message's file under its last name and writes it then, so a worker that looks in
between takes an empty one: it fails on that, and the message is lost.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """Writes under a name that nobody looks at, then gives the file its own."""

    def _put(self, queue: str, payload: dict[str, Any], **kwargs: Any) -> None:
        """Put a message into a queue."""
        name = f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        folder = Path(self.data_folder_out)
        draft = folder / f".{name}"
        draft.write_text(dumps(payload))
        draft.rename(folder / name)


class Transport(filesystem.Transport):
    """Kombu's transport with that channel."""

    Channel = Channel
