"""A PostgreSQL server of Debian's package, in a folder of its own, at a Unix socket there, as a user who may do nothing else.

By wish it listens at an address of the testbed's network as well, and lets the testbed's pods in.
"""

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import make_url
from testbed import clock, packages
from testbed.trouble import Lacking, Trouble
from tests.adapters.places import short_folder

from donjon.adapters.storage.database import Database

USER = "nobody"
"""Who runs it where the tests are root's: the server refuses to be."""

_ANSWERS = 20.0  # seconds until it does
_SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=60")


@dataclass
class Server:
    """One that can be stopped and started."""

    folder: Path
    programs: Path
    at: str = ""
    process: subprocess.Popen[bytes] | None = None
    numbers: Iterator[int] = field(default_factory=itertools.count)
    tables: str = ""  # the database that is copied

    def start(self) -> None:
        where = (f"unix_socket_directories={self.folder}", f"listen_addresses={self.at}")
        settings = [part for setting in (*_SETTINGS, *where) for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            # It ends with the tests, however they end.
            command: list[str | Path] = ["setpriv", "--pdeathsig", "INT", self.programs / "postgres", "-D", self.folder / "data"]
            self.process = subprocess.Popen([*command, *settings], stdout=log, stderr=log, cwd=self.folder, user=_user())
        deadline = clock.now() + _ANSWERS
        while subprocess.run([self.programs / "pg_isready", "-q", "-h", self.folder], check=False).returncode:
            if clock.now() > deadline or self.process.poll() is not None:
                pytest.fail(
                    f"postgres does not answer: {(self.folder / 'log').read_text(errors='replace')[-2000:]}", pytrace=False
                )
            clock.pause(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """At once; who is connected is disconnected. With SIGQUIT nothing is written any more."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(_ANSWERS)
            self.process = None

    def database(self) -> str:
        """The address of a new one, without tables."""
        return self._copy("template1")

    def prepared(self) -> str:
        """The address of a new one with its tables, as a first start leaves it: made once and copied."""
        if not self.tables:
            first = self.database()
            made = Database(first)
            made.migrate()
            made.close()
            self.tables = make_url(first).database or ""
        return self._copy(self.tables)

    def _copy(self, template: str) -> str:
        name = f"donjon{next(self.numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return f"postgresql://donjon@{self.at}/{name}" if self.at else f"postgresql://donjon@/{name}?host={self.folder}"

    def run(self, statement: str) -> None:
        """As who may do everything there."""
        psql: list[str | Path] = [
            self.programs / "psql",
            "-qX",
            "-h",
            self.folder,
            "-U",
            "donjon",
            "-d",
            "postgres",
            "-c",
            statement,
        ]
        subprocess.run(psql, check=True, capture_output=True)


@contextmanager
def server(at: str = "") -> Iterator[Server]:
    """A new one; where its package is missing and cannot be installed, the test is not run, and says so."""
    try:
        packages.install(packages.POSTGRESQL)
    except (Lacking, Trouble) as error:
        pytest.skip(f"needs PostgreSQL: {error}")
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    with short_folder() as folder:
        if (user := _user()) is not None:
            shutil.chown(folder, user)
        made: list[str | Path] = [
            programs / "initdb",
            "-D",
            folder / "data",
            "-U",
            "donjon",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        subprocess.run(made, check=True, capture_output=True, cwd=folder, user=user)
        opened = Server(folder, programs, at)
        if at:
            with (folder / "data" / "pg_hba.conf").open("a") as stream:
                stream.write("host all all 10.0.0.0/8 trust\n")
        opened.start()
        yield opened
        opened.stop(signal.SIGQUIT)


def _user() -> str | None:
    return USER if os.geteuid() == 0 else None
