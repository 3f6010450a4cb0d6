"""What an image starts, as its config says it and its files bear it out: program, arguments, environment, folder, user.

Sources: OCI image specification, `config.md`; Docker's rules for `Entrypoint`, `Cmd`, and a program's name without a slash.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from donjon.errors import Malformed
from donjon.images.image import ImageConfig
from donjon.wrapping.tree import FileTree, normal

MAX_ARGUMENTS = 4096
MAX_ARGUMENT = 128 << 10  # bytes of one, as Linux has it (MAX_ARG_STRLEN)
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSWD, GROUP = "/etc/passwd", "/etc/group"
LD_CONF = "/etc/ld.so.conf"
LD_CONF_FOLDER = "/etc/ld.so.conf.d"
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_MAX_ID = (1 << 32) - 2
_LIBRARY_FOLDERS = (
    *("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/local/lib", "/usr/local/lib64"),
    *("/lib64", "/usr/lib64", "/lib", "/usr/lib"),
)
"""Where the loaders of Debian, Red Hat and Alpine look without being told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One process, as it would be started."""

    program: str  # the absolute path that Gramine is given
    arguments: tuple[str, ...]  # with the program's name as it was called
    environment: Mapping[str, str]
    working_dir: str
    uid: int
    gid: int


def application_of(config: ImageConfig, tree: FileTree, texts: Mapping[str, bytes]) -> Application:
    """What the image starts; raises `Malformed` DJ391 where that is nothing, or is not in it."""
    arguments = (*config.entrypoint, *config.command)
    if not arguments or not arguments[0]:
        raise Malformed("DJ391", "the image has neither entry point nor command: say which with --entrypoint")
    if len(arguments) > MAX_ARGUMENTS or any(len(each) > MAX_ARGUMENT or "\0" in each for each in arguments):
        raise Malformed("DJ391", f"the image's command: more than {MAX_ARGUMENTS} arguments, or one that no process can have")
    environment = dict(_variables(config.environment))
    folder = normal(config.working_dir or "/")
    uid, gid = _user(config.user, texts)
    return Application(
        program=_program(arguments[0], environment.get("PATH", DEFAULT_PATH), folder, tree),
        arguments=arguments,
        environment=environment,
        working_dir=folder,
        uid=uid,
        gid=gid,
    )


def _variables(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, equals, value = line.partition("=")
        if not (name and equals) or "\0" in line:
            raise Malformed("DJ391", f"the image's environment has {line[:60]!r}, expected NAME=VALUE")
        yield name, value


def _program(name: str, search: str, folder: str, tree: FileTree) -> str:
    """The path of a program as a shell would find it; by the name it is called by, for some programs ask for that."""
    ways = [normal(name, folder)] if "/" in name else [normal(f"{part or '.'}/{name}", folder) for part in search.split(":")]
    for way in ways:
        node = tree.file(way)
        if node is not None and node.mode & 0o111:
            return way
    tree.resolve(ways[0])  # Raises for a circle of links, which is the reason then.
    raise Malformed(
        "DJ391", f"the image starts {name!r}, and no program of that name is in it (looked for: {', '.join(ways[:8])})"
    )


def interpreter_of(line: str, application: Application, tree: FileTree) -> str:
    """The program that a script's first line means, behind `env` too; empty where it names none.

    `env` itself is not counted: it puts the program in its own place, in the enclave that is there.
    """
    words = line.split()
    if words and words[0].rpartition("/")[2] == "env":
        words = [each for each in words[1:] if "=" not in each and not each.startswith("-")]
    if not words:
        return ""
    try:
        search = application.environment.get("PATH", DEFAULT_PATH)
        return _program(words[0], search, application.working_dir, tree)
    except Malformed:
        return words[0]  # It is told where programs are looked at.


def _user(text: str, texts: Mapping[str, bytes]) -> tuple[int, int]:
    """The numbers of USER or USER:GROUP, by name or number; root where nothing is said."""
    user, _, group = text.partition(":")
    uid, gid = (0, 0) if not user else _entry(user, PASSWD, texts)
    if group:
        gid = _entry(group, GROUP, texts)[0]
    return uid, gid


def _entry(name: str, file: str, texts: Mapping[str, bytes]) -> tuple[int, int]:
    """The third and the fourth field of the line with that name, or that number; a number need not be there."""
    for line in texts.get(file, b"").decode(errors="replace").splitlines():
        fields = line.split(":")
        if len(fields) > 3 and name in {fields[0], fields[2]}:  # noqa: PLR2004 - NAME:PASSWORD:NUMBER:….
            return _identifier(fields[2], file), _identifier(fields[3], file) if file == PASSWD else 0
    if _NUMBER.fullmatch(name):
        return _identifier(name, file), 0
    raise Malformed("DJ391", f"the image's user is {name[:60]!r}, which is not in its {file}")


def _identifier(text: str, file: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > _MAX_ID:
        raise Malformed("DJ391", f"{file}: {text[:20]!r} is no number of a user or group")
    return int(text)


def library_folders(tree: FileTree, texts: Mapping[str, bytes]) -> tuple[str, ...]:
    """Where the image's own loader would look for libraries: what `ld.so.conf` says, then what it knows by itself."""
    lines = [
        line for path in sorted(texts) if _is_loader_config(path) for line in texts[path].decode(errors="replace").splitlines()
    ]
    folders = (normal(line.split("#")[0].strip()) for line in lines if line.startswith("/"))
    return tuple(dict.fromkeys(each for each in (*folders, *_LIBRARY_FOLDERS) if tree.children.get(tree.resolve(each))))


def _is_loader_config(path: str) -> bool:
    return path == LD_CONF or (path.startswith(LD_CONF_FOLDER + "/") and path.endswith(".conf"))


def is_text_of_use(path: str, size: int) -> bool:
    """Whether a file is one of those few whose text is read."""
    return size <= 1 << 20 and (path in {PASSWD, GROUP} or _is_loader_config(path) or path.endswith("/bin/gramine-sgx"))
