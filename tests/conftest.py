"""The databases that tests run on, and what every test process does."""

import gc
import os
import ssl
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path

import httpcore2
import hypothesis
import pytest
from tests.adapters import databases, postgres
from tests.adapters.postgres import Server

from donjon.adapters.logs import JsonLines
from donjon.adapters.storage.database import Database

hypothesis.settings.register_profile(
    "house", deadline=None
)  # Nobody promised a time for an example, and machines are slow at times.
hypothesis.settings.load_profile("house")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Tests that are collected live to the end: to look at them again and again takes time, later that of the code under test."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


_READ = httpcore2.default_ssl_context


@cache
def _authorities(*_environment: "str | None", trusted: bool) -> ssl.SSLContext:
    return _READ(_trust_env=trusted)


def _default_ssl_context(*, _trust_env: bool = True) -> ssl.SSLContext:
    return _authorities(*map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")), trusted=_trust_env)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart() -> None:
    """The authorities of the system are read once, and not by every client that is made: that takes as long as most tests."""
    pytest.MonkeyPatch().setattr(httpcore2, "default_ssl_context", _default_ssl_context)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Where a test fails, its log lines are shown as our programs write them, with all that they say."""
    config.pluginmanager.getplugin("logging-plugin").report_handler.setFormatter(JsonLines())


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server for all tests; who stops it starts it again."""
    with postgres.server() as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new database without tables, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/x.db"
    server: Server = request.getfixturevalue("postgresql")
    return server.database()


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new database with its tables, as a first start leaves it, of either kind."""
    if request.param == "sqlite":
        return databases.prepare(f"sqlite:///{tmp_path}/x.db")
    server: Server = request.getfixturevalue("postgresql")
    return server.prepared()


@pytest.fixture
def database(address: str) -> Iterator[Database]:
    """A new database with its tables, of either kind."""
    opened = Database(address)
    yield opened
    opened.close()
