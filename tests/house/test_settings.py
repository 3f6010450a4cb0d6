"""Whoever reads settings, as `--check` does, starts no server and loads none."""

import subprocess
import sys

import pytest

SERVERS = ("asyncio", "grpclib", "h11", "httptools", "httpx2", "prometheus_client", "sqlalchemy", "starlette", "uvicorn")
SETTINGS = [
    "donjon.services.admission.settings",
    "donjon.services.attestation.settings.service",
    "donjon.services.meter.settings",
    "donjon.services.node.settings",
]


@pytest.mark.parametrize("module", SETTINGS)
def test_reading_settings_imports_no_server(module: str) -> None:
    code = f"import sys, {module}; print(*(set(sys.modules) & {set(SERVERS)}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert loaded.stdout.split() == []
