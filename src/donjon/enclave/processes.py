"""What of a program would start other processes, and what that costs in an enclave (one address space; the FAQ's "no fork").

Said of a file: that it is a script, that it is a server known for workers, that it imports what starts processes. An import is no
call: whether it ever happens, only the program's run shows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from donjon.enclave.elf import read_links as read_symbols
from donjon.enclave.linkage import read_links
from donjon.errors import Malformed
from donjon.findings import Finding, codes

STARTS_PROCESSES = frozenset(
    [
        "fork",
        "vfork",
        "_Fork",
        "clone",
        "clone3",
        "execl",
        "execle",
        "execlp",
        "execv",
        "execve",
        "execvp",
        "execvpe",
        "execveat",
        "fexecve",
        "posix_spawn",
        "posix_spawnp",
        "system",
        "popen",
        "daemon",
        "forkpty",
        "wordexp",
        "rfork",
    ]
)
"""Functions of libc that start a process, or put another program in this one's place."""
SHELLS = frozenset(["sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"])
SERVERS: Mapping[str, str] = {
    "nginx": "a master and workers; one process with `daemon off; master_process off;`",
    "httpd": "a parent and children",
    "apache2": "a parent and children",
    "postgres": "a process for each connection, and some of its own",
    "gunicorn": "a master and workers, even with one worker",
    "uwsgi": "a master and workers; one process without `master` and with `processes = 1`",
    "php-fpm": "a master and children",
    "celery": "a pool of processes; threads with `--pool threads`",
    "redis-server": 'a child for each snapshot and rewrite; none with `save ""` and `appendonly no`',
    "supervisord": "it starts and watches other programs",
    "s6-svscan": "it starts and watches other programs",
    "runsvdir": "it starts and watches other programs",
    "systemd": "it starts and watches other programs",
    "tini": "it starts one program and waits; name that program instead",
    "dumb-init": "it starts one program and waits; name that program instead",
    "crond": "a process for each job",
    "sshd": "a process for each connection",
}
"""Programs that are several processes by design, and what to do about it where there is something."""
_EVERYWHERE = ("libc.", "libm.", "libdl.", "libpthread.", "librt.", "libutil.", "libgcc_s.", "libstdc++.", "ld-linux", "ld-musl")
MAX_LINE = 4096  # of a script's first line


class StartKind(StrEnum):
    """What a file is to whoever starts it."""

    SCRIPT = "script"
    PROGRAM = "program"
    STATIC = "static program"
    OTHER = "other"
    AWAY = "away"  # an image names it, and has no such file


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramStart:
    """What a file tells of the processes that it would start."""

    path: str
    kind: StartKind
    interpreter: str = ""  # of a script
    imports: tuple[str, ...] = ()  # of what starts processes
    server: str = ""  # how a program of that name works

    @property
    def is_shell(self) -> bool:
        """Whether it is a shell or a shell's script: each line of it may be a process."""
        return file_name(self.interpreter or self.path) in SHELLS


def file_name(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def program_start(path: str, content: bytes) -> ProgramStart:
    """What a file tells; raises `Malformed` DJ310 for a program that cannot be read."""
    server = SERVERS.get(file_name(path), "")
    if content.startswith(b"#!"):
        return ProgramStart(path=path, kind=StartKind.SCRIPT, interpreter=_interpreter(content), server=server)
    if not content.startswith(b"\x7fELF"):
        return ProgramStart(path=path, kind=StartKind.OTHER, server=server)
    is_static = read_links(content).is_static
    names = {each.name for each in read_symbols(content).symbols if each.is_import}
    imports = tuple(sorted(names & STARTS_PROCESSES))
    return ProgramStart(path=path, kind=StartKind.STATIC if is_static else StartKind.PROGRAM, imports=imports, server=server)


def needed_libraries(content: bytes) -> tuple[str, ...]:
    """The libraries that a program names and that not every program has; none of what is no program."""
    try:
        needed = read_links(content).needed if content.startswith(b"\x7fELF") else ()
    except Malformed:
        return ()  # That is told of the program itself.
    return tuple(each for each in needed if not each.startswith(_EVERYWHERE))


def _interpreter(content: bytes) -> str:
    """The program that runs a script, behind `env` too."""
    words = content[2:MAX_LINE].split(b"\n", 1)[0].decode("utf-8", "replace").split()
    if words and file_name(words[0]) == "env":
        words = [each for each in words[1:] if "=" not in each and not each.startswith("-")]
    return words[0] if words else ""


_COST = (
    "an enclave is one address space: under Gramine each child is an enclave of the same size, so count it in the EPC that you"
    " ask for; Occlum spawns within its enclave and cannot fork; elsewhere it is impossible"
)


def start_findings(subject: str, start: ProgramStart) -> Iterator[Finding]:
    """What there is to say of a program that is started in an enclave."""
    if start.is_shell:
        yield Finding.warning(
            codes.SHELL_STARTS,
            subject,
            f"{start.path} is a shell, or a script for {start.interpreter or 'one'}: each command of it is a process",
            _COST,
            "start the program itself: write what the script works out into the image, or run the script outside before",
        )
    if start.server:
        yield Finding.warning(
            codes.SEVERAL_PROCESSES,
            subject,
            f"{start.path} is several processes by design: {start.server}",
            _COST,
            "run it as one process where it can, or say how many: donjon enclave size --processes",
        )
    if start.imports:
        yield Finding.info(
            "DJ357",
            subject,
            f"{start.path} imports what starts processes: {', '.join(start.imports)}",
            f"an import is no call, and many programs have it that never call it; where it is called: {_COST}",
            "look whether it happens: strace -f -e trace=process, on a machine without enclaves",
        )
    if start.kind is StartKind.STATIC:
        yield Finding.info(
            "DJ358",
            subject,
            f"{start.path} is linked statically: what it calls cannot be told by its imports",
            _COST,
            "look whether it starts processes: strace -f -e trace=process, on a machine without enclaves",
        )
