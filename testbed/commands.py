"""Running a program to its end, with a message that says what it answered when it fails."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from testbed.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the Debian packages put their programs; a user's own PATH often lacks the sbin folders."""


def run(
    *arguments: str | Path,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    do: str = "read the command's own words above",
) -> str:
    """What the command printed; a command that fails is a `Trouble` with its last words."""
    done = attempt(*arguments, stdin=stdin, environment=environment, folder=folder)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise Trouble(
            f"`{' '.join(map(str, arguments))}` ended with code {done.returncode}", why=words or "it printed nothing", do=do
        )
    return done.stdout


def attempt(
    *arguments: str | Path,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """The command's end, whatever it was."""
    try:
        return subprocess.run(
            [str(argument) for argument in arguments],
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SEARCH_PATH}", **(environment or {})},
        )
    except FileNotFoundError as error:
        raise Trouble(
            f"`{arguments[0]}` was not found",
            why="the testbed needs it",
            do="run `python -m testbed packages` as root, or install the Debian package that holds it",
        ) from error
