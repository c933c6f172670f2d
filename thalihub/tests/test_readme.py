"""The examples of the README and of operations.md work when they are copied.

Fenced `sh` blocks right after the comment `<!-- example -->` are run as one script beside a fresh
hub.  A line `# -> text` in them says what is printed; `…` in it stands for anything.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from thalihub.tests.hubprocess import SOURCE, HubProcess

_BLOCK = re.compile(r"<!-- (second )?example -->\s*\n```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PROMISE = re.compile(r"^\s*# -> (.+)$", re.MULTILINE)


def example(markdown: str, *, second: bool = False) -> str:
    """Return the script that the marked blocks make; raises ValueError if none is marked."""
    blocks = [text for which, text in _BLOCK.findall(markdown) if bool(which) == second]
    if not blocks:
        raise ValueError("no fenced sh block follows <!-- example -->")
    return "".join(blocks)


def promises(script: str) -> re.Pattern[str]:
    """Return what finds all the promised outputs, in their order."""
    found = [re.escape(text.strip()).replace("…", ".*") for text in _PROMISE.findall(script)]
    if not found:
        raise ValueError("the example does not say with # -> what it prints")
    return re.compile(r"(?s:.*?)".join(found))


def _run_beside(hub: HubProcess, script: str) -> str:
    # The example's paths are those of a checkout: .venv, manage.py and data.
    for name, target in ((".venv", Path(sys.prefix)), ("manage.py", SOURCE / "manage.py")):
        if not (hub.folder / name).exists():
            (hub.folder / name).symlink_to(target)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=hub.folder,
        env=hub.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_the_readme_example_prints_what_it_says(hub: HubProcess) -> None:
    if shutil.which("curl") is None:
        pytest.skip("Install curl: `apt-get install curl`.")
    script = example((SOURCE / "README.md").read_text())
    printed = _run_beside(hub, _at_port(script, 6984, hub))
    assert promises(script).search(printed), printed


@pytest.mark.slow
def test_the_example_of_operations_prints_what_it_says(hub: HubProcess) -> None:
    if shutil.which("curl") is None:
        pytest.skip("Install curl: `apt-get install curl`.")
    script = example((SOURCE / "docs" / "operations.md").read_text())
    printed = _run_beside(hub, _at_port(script, 6984, hub))
    assert promises(script).search(printed), printed


@pytest.mark.slow
@pytest.mark.long
def test_two_hubs_do_what_the_readme_says(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("Install curl: `apt-get install curl`.")
    markdown = (SOURCE / "README.md").read_text()
    with HubProcess(tmp_path) as hub, HubProcess(tmp_path / "beside") as second:
        (tmp_path / "second").symlink_to(second.data)
        # As it is read: one after the other, on the same hub.
        script = example(markdown) + example(markdown, second=True)
        ported = _at_port(_at_port(script, 6984, hub), 7984, second)
        printed = _run_beside(hub, ported)
    assert promises(script).search(printed), printed


def _at_port(script: str, shown: int, hub: HubProcess) -> str:
    return script.replace(f":{shown}", f":{hub.status['api_port']}")


def test_the_marked_blocks_are_one_script() -> None:
    markdown = (
        "<!-- example -->\n```sh\na=1\n```\n```sh\nno\n```\n<!-- example -->\n\n```sh\nb\n```\n"
    )
    assert example(markdown) == "a=1\nb\n"


@pytest.mark.parametrize(
    "markdown", ["", "```sh\nls\n```\n", "<!-- example -->\n```json\n{}\n```\n"]
)
def test_a_readme_without_an_example_is_refused(markdown: str) -> None:
    with pytest.raises(ValueError, match="no fenced sh block"):
        example(markdown)


def test_an_example_must_promise_something() -> None:
    with pytest.raises(ValueError, match="does not say"):
        promises("ls\n")


def test_promises_are_kept_in_their_order() -> None:
    script = 'curl x\n# -> {"rev":"1-…"}\ncurl y\n# -> 404\n'
    assert promises(script).search('{"rev":"1-abc"}\nother\n404\n')
    assert not promises(script).search('404\n{"rev":"1-abc"}\n')
    assert not promises(script).search('{"rev":"2-abc"}\n404\n')
