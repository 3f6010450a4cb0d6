"""The command line, called in this process: the same words, environment and streams, without the start of an interpreter."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from donjon import cli

SETTINGS = ("DONJON_", "KUBE")
"""What the names of variables begin with that Donjon reads: whoever runs the tests may have set some."""


def call(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What such a process would end with and say."""
    words = [str(each) for each in arguments]
    unset: Mapping[str, str | None] = dict.fromkeys(name for name in os.environ if name.startswith(SETTINGS))
    with pytest.MonkeyPatch.context() as patch, CliRunner().isolation(env={**unset, **environment}) as (out, err, _):
        patch.setattr(sys, "argv", ["donjon", *words])
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        else:
            code = 0
        sys.stdout.flush()
        sys.stderr.flush()
        said, complained = (each.getvalue().decode() for each in (out, err))
    assert code is None or isinstance(code, int)
    return subprocess.CompletedProcess(words, code or 0, said, complained)


def start(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, to its end."""
    command = [sys.executable, "-m", "donjon", *map(str, arguments)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env=clean | environment, encoding="utf-8"
    )
