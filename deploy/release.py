"""`make release`: everything that a release holds, into one folder, with the checksums of all of it.

`python -m deploy.release FOLDER IMAGE` takes the image that `deploy/images/build` made. Wheel and source archive are Hatchling's,
the chart's archive is Helm's, the bill of materials is CycloneDX's, with the image's Debian packages added. All of it is dated by
the last commit (or SOURCE_DATE_EPOCH), so that the same commit gives the same bytes, whoever builds it and where.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

BIN = Path(sys.executable).parent
HELM = Path("testbed", "bin", "helm")
STATUS = "var/lib/dpkg/status.d/"
OURS, SUMS = "donjon-*", "SHA256SUMS"


def main(folder: Path, image: Path) -> None:
    """Make all of it; the project is the folder that this is called in."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or _answer("git", "log", "-1", "--format=%ct").strip()
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(OURS):
        old.unlink()
    _run(Path("deploy", "bpf", "build"), environment=environment)
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", folder, environment=environment)
    version = next(folder.glob("donjon-*.whl")).name.split("-")[1]
    _chart(folder, int(epoch))
    shutil.copyfile(image, folder / f"donjon-{version}-image.oci.tar")
    bill = json.dumps(_bill(image, version, environment), indent=2, sort_keys=True)
    (folder / f"donjon-{version}.cdx.json").write_text(f"{bill}\n", encoding="utf-8")
    (folder / SUMS).write_text("".join(_sums(folder)), encoding="utf-8")
    sys.stdout.write("".join(f"{path}\n" for path in (*sorted(folder.glob(OURS)), folder / SUMS)))


def _chart(folder: Path, epoch: int) -> None:
    """The chart's archive, by Helm, which dates what it packs by the files."""
    with tempfile.TemporaryDirectory() as name:
        chart = Path(name, "chart")
        shutil.copytree(Path("deploy", "chart"), chart)
        for path in chart.rglob("*"):
            os.utime(path, (epoch, epoch))
        _run(HELM, "package", chart, "--destination", name, environment=os.environ)
        (archive,) = Path(name).glob("*.tgz")
        shutil.copyfile(archive, folder / archive.name.replace("donjon-", "donjon-chart-"))


def _bill(image: Path, version: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """What the image holds: the locked Python packages with their hashes, and Debian's, which the image itself names."""
    options = ("--pyproject", "pyproject.toml", "--output-reproducible", "--output-format", "JSON")
    text = _answer(BIN / "cyclonedx-py", "requirements", "requirements/image.txt", *options, environment=environment)
    bill: dict[str, Any] = json.loads(text)
    for component in bill["components"]:
        component.pop("description", None)  # It repeats the locked line.
    bill["metadata"]["component"]["version"] = version
    files = _system(image)
    system = dict(line.split("=", 1) for line in files.pop("etc/os-release").splitlines() if "=" in line)
    release = {name: system[name].strip('"') for name in ("ID", "VERSION_ID")}
    bill["components"] += [_package(HeaderParser().parsestr(text), **release) for _, text in sorted(files.items())]
    bill["dependencies"] += [{"ref": each["bom-ref"]} for each in bill["components"] if each["purl"].startswith("pkg:deb")]
    return bill


def _system(image: Path) -> dict[str, str]:
    """What the image says of the system that it is made of: which one, and a file for each package."""
    found = {}
    with tarfile.open(image) as archive:
        blobs = {each.name: each for each in archive}
        index = json.load(_open(archive, blobs["index.json"]))
        manifest = json.load(_open(archive, blobs[_path(index["manifests"][0])]))
        with tarfile.open(fileobj=_open(archive, blobs[_path(manifest["layers"][0])])) as root:
            for member in root:
                name = member.name.removeprefix("./")
                if member.isfile() and (name.startswith(STATUS) or name == "etc/os-release"):
                    found[name] = _open(root, member).read().decode()
    return found


def _path(descriptor: dict[str, str]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _open(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(member)
    if stream is None:
        raise SystemExit(f"release: {member.name} is no file")
    return stream


def _package(status: Message, *, ID: str, VERSION_ID: str) -> dict[str, str]:  # noqa: N803 - the names are those of os-release(5).
    name, version = status["Package"], status["Version"]
    about = f"arch={status['Architecture']}&distro={ID}-{VERSION_ID}"
    url = f"pkg:deb/{ID}/{quote(name)}@{quote(version)}?{about}"
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def _sums(folder: Path) -> Iterator[str]:
    """A line for each file, as sha256sum writes and checks them."""
    for path in sorted(folder.glob(OURS)):
        yield f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"


def _run(*command: str | Path, environment: Mapping[str, str]) -> None:
    subprocess.run(command, check=True, env=environment, stdout=sys.stderr)


def _answer(*command: str | Path, environment: Mapping[str, str] = os.environ) -> str:
    return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
