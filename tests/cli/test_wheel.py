"""The program as people get it: from a clone, from the wheel, as a hook. All ask a package registry for libraries."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests import pages
from tests.admission.checks import FAQ_JOB

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SHIPPED = ("src", "pyproject.toml", "README.md", "LICENSE", "LICENSE-MIT", "CHANGELOG.md", ".gitignore", ".pre-commit-hooks.yaml")
NO_REGISTRY = ("Failed to fetch", "error sending request", "NewConnectionError", "dns error")
NODE_NAMED_BY_HAND = FAQ_JOB.replace("restartPolicy: Never", "nodeName: sgx-1\n      restartPolicy: Never")


def run(*command: str | Path, cwd: Path = PROJECT, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program's end; a test that needs a registry is skipped where none answers."""
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=300, check=False, env=clean | environment
    )
    if done.returncode and any(words in done.stdout + done.stderr for words in NO_REGISTRY):
        pytest.skip("needs a package registry")
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(FAQ_JOB)
    return path


def test_uvx_runs_check_from_the_wheel_alone(wheel: Path, job: Path) -> None:
    done = run(BIN / "uvx", "--isolated", "--constraints", "requirements/dev.txt", "--from", wheel, "donjon", "check", job)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1 with pods looked at: 1 admitted, 0 refused"


def test_uvx_runs_check_and_why_from_a_clone(hook: Path, job: Path) -> None:
    """`uvx --from . donjon check`, and with the extra that `donjon why` needs, in the clone's folder."""
    uvx = (BIN / "uvx", "--isolated", "--constraints", PROJECT / "requirements/dev.txt", "--from")
    done = run(*uvx, ".", "donjon", "check", job, cwd=hook)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1 with pods looked at: 1 admitted, 0 refused"
    why = run(*uvx, ".[cluster]", "donjon", "why", "a-pod", "--kubeconfig", "none", cwd=hook)
    assert "DJ040" in why.stderr, why.stderr


def test_the_pages_commands_install_from_a_clone_and_pip_from_the_wheel_with_an_extra(
    hook: Path, wheel: Path, tmp_path: Path
) -> None:
    versions = tmp_path / "versions.txt"  # Without hashes, which pip wants of a folder, too.
    versions.write_text("\n".join(re.findall(r"^\S+==\S+", (PROJECT / "requirements/dev.txt").read_text(), re.MULTILINE)))
    activate, *installing = pages.shown("commands.md", __file__)
    assert activate == ". .venv/bin/activate"
    (tmp_path / ".venv").symlink_to(sys.prefix)
    assert run("bash", "-c", f"{activate}; command -v donjon", cwd=tmp_path).stdout.strip() == f"{sys.prefix}/bin/donjon"
    for command in installing:
        done = run("bash", "-c", command, cwd=hook, HOME=str(tmp_path), PIP_CONSTRAINT=str(versions))
        assert done.returncode == 0, done.stderr
    fresh = tmp_path / "donjon" / "bin"
    assert "DJ040" in run(fresh / "kubectl-donjon", "why", "a-pod", "--kubeconfig", "none").stderr
    done = run(
        fresh / "pip", "install", "--constraint", versions, "--force-reinstall", "--no-deps", f"{wheel}[cluster]", cwd=hook
    )
    assert done.returncode == 0, done.stderr
    assert "DJ040" in run(fresh / "kubectl-donjon", "why", "a-pod", "--kubeconfig", "none").stderr


def test_the_base_dependencies_are_enough_for_check_doctor_and_explain(wheel: Path, job: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "venv"
    assert run(BIN / "uv", "venv", "--python", sys.executable, fresh).returncode == 0
    with_base = ("--python", fresh / "bin/python", "--constraints", "requirements/dev.txt", wheel)
    done = run(BIN / "uv", "pip", "install", *with_base)
    assert done.returncode == 0, done.stderr
    donjon = fresh / "bin/donjon"

    installed = run(BIN / "uv", "pip", "freeze", "--python", fresh / "bin/python").stdout
    assert not [name for name in ("httpx2", "lightkube", "h11", "prometheus", "cryptography", "grpclib") if name in installed]
    assert run(donjon, "check", job, "-o", "yaml").returncode == 0
    assert "**Example.**" in run(donjon, "explain", "DJ104").stdout
    assert run(donjon, "doctor").returncode in {0, 1, 3}
    assert "kind: ValidatingAdmissionPolicy" in run(donjon, "admission", "policies").stdout
    why = run(donjon, "why", "a-pod")
    assert why.returncode == 2
    assert "donjon[cluster]" in why.stderr


def git(where: Path, *arguments: str) -> None:
    named = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    assert run("git", *named, *arguments, cwd=where).returncode == 0


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """A repository of the project as it stands here, as pre-commit clones one."""
    where = tmp_path / "donjon"
    where.mkdir()
    run("cp", "-r", *(PROJECT / name for name in SHIPPED), where)
    git(where, "init", "-q")
    git(where, "add", ".")
    git(where, "commit", "-qm", "as it stands")
    return where


def test_the_pre_commit_hook_looks_at_yaml_and_stops_what_would_be_refused(hook: Path, tmp_path: Path) -> None:
    """As a user has it: a repository that names the hook, and files that are to be committed."""
    where = tmp_path / "theirs"
    where.mkdir()
    revision = run("git", "rev-parse", "HEAD", cwd=hook).stdout.strip()
    config = f"repos:\n- repo: {hook}\n  rev: {revision}\n  hooks:\n  - id: donjon-check\n    files: ^deploy/\n"
    (where / ".pre-commit-config.yaml").write_text(config)
    (where / "deploy").mkdir()
    (where / "deploy/job.yaml").write_text(FAQ_JOB)
    (where / "deploy/values.yaml").write_text("replicas: 2\n")
    (where / "notes.yaml").write_text("a: [")
    git(where, "init", "-q")
    git(where, "add", ".")
    own = {"PRE_COMMIT_HOME": str(tmp_path / "cache")}
    passed = run(BIN / "pre-commit", "run", "--all-files", "--verbose", cwd=where, **own)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "deploy/job.yaml:1: Job sgx-test: admitted" in passed.stdout
    assert "notes.yaml" not in passed.stdout

    (where / "deploy/job.yaml").write_text(NODE_NAMED_BY_HAND)
    git(where, "add", ".")
    stopped = run(BIN / "pre-commit", "run", "--all-files", cwd=where, **own)
    assert stopped.returncode == 1
    assert "[DJ105]" in stopped.stdout
