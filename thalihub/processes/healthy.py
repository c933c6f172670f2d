"""`python -m thalihub.processes.healthy [NAME …]` tells a container's engine if it does its work.

Without names: the API answers that its database does.  With names, such as `worker`: a process of
each lives here.  It loads no Django, so that a look every ten seconds costs next to nothing.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from pathlib import Path

from thalihub import alive, datafolder

_SECONDS = 5


def main(names: list[str]) -> int:
    """Return 0 if all is well, else 1 with a sentence on stderr."""
    folder = Path(os.environ.get("HUB_DATA", "data"))
    why = _why_not_alive(folder, names) if names else _why_not_serving(folder)
    if why:
        sys.stderr.write(f"{why}\n")
    return int(bool(why))


def _why_not_alive(folder: Path, names: list[str]) -> str:
    here = alive.living_here(folder)
    missing = [name for name in names if name not in here]
    return f"Not running here: {', '.join(missing)}." if missing else ""


def _why_not_serving(folder: Path) -> str:
    port = datafolder.facts_of(folder).get("api_port")
    if port is None:
        return "The hub does not serve yet."
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # It is ourselves.
    asked = http.client.HTTPSConnection("127.0.0.1", port, timeout=_SECONDS, context=context)
    try:
        asked.request("GET", "/_up")
        answer = asked.getresponse()
        said = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return f"The API does not answer: {error}"
    finally:
        asked.close()
    return "" if answer.status == 200 else f"The API says: {said.decode(errors='replace').strip()}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
