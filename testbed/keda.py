"""KEDA's own operator and metrics server, from its Go module, with six of its seventy scalers.

All of them together need 3,700 Go packages, and ten minutes or more to build; with these six it is half of them. Nothing else is
changed.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from testbed.commands import run

if TYPE_CHECKING:
    from pathlib import Path

MODULE = "github.com/kedacore/keda/v2"
TRIGGERS = ("cpu", "cron", "external", "external-mock", "external-push", "kubernetes-workload", "memory", "prometheus")
_FILES = ("cpu_memory", "cron", "external", "external_mock", "kubernetes_workload", "prometheus")
_LEFT_BEHIND = 'package scalers\n\nconst externalMetricType = "External"\n'
"""What a scaler that is not here declares for all others (azure_queue_scaler.go)."""


def source(go: str, folder: Path) -> Path:
    """The module as it was published, checked against our go.sum."""
    environment = {"GOTOOLCHAIN": "local", "GOFLAGS": ""}
    run(go, "mod", "download", MODULE, folder=folder, environment=environment)
    listed = run(go, "list", "-m", "-f", "{{.Dir}}", MODULE, folder=folder, environment=environment)
    return type(folder)(listed.strip())


def copy(go: str, folder: Path, target: Path) -> None:
    """Its sources without what is not built."""
    shutil.copytree(source(go, folder), target, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("*_test.go"))
    run("chmod", "-R", "u+w", target)
    scalers = target / "pkg" / "scalers"
    for file in scalers.glob("*_scaler.go"):
        if file.name.removesuffix("_scaler.go") not in _FILES:
            file.unlink()
    (scalers / "external_metric_type.go").write_text(_LEFT_BEHIND)
    builder = target / "pkg" / "scaling" / "scalers_builder.go"
    builder.write_text(_cases(builder.read_text()))


def _cases(text: str) -> str:
    """The table of triggers with those alone that are here."""
    begin = text.index("switch triggerType {")
    end = text.index("\tdefault:\n", begin)
    head, *cases = re.split(r"(?=^\tcase )", text[begin:end], flags=re.MULTILINE)
    return text[:begin] + head + "".join(each for each in cases if each.split('"')[1] in TRIGGERS) + text[end:]
