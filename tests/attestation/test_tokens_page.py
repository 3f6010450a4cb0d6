"""The page on tokens shows what happens."""

import re
import subprocess
import sys
from pathlib import Path

from tests.attestation import recordings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "tokens.md").read_text(encoding="utf-8")


def test_its_python_makes_a_token() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    payload = recordings.part(done.stdout.split(".")[1])
    assert (payload["iss"], payload["nonce"], payload["tee"]) == ("https://attest.example", "5f3a", "sgx")
    assert not [name for name in payload if name.startswith("x-donjon-")]
