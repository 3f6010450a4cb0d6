"""Which programs an image starts, and where in it they may be."""

import posixpath
from collections.abc import Sequence

from donjon.enclave.processes import SERVERS, ProgramStart, StartKind, file_name

_MERGED = ("bin/", "sbin/")  # links into `usr` in most images
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def start_words(entrypoint: Sequence[str], command: Sequence[str]) -> tuple[str, ...]:
    """The programs that an image starts: its entry point's, and its command's, which an entry point's script starts mostly."""
    words = [each[0] for each in (entrypoint, command) if each]
    return tuple(each for number, each in enumerate(words) if number == 0 or not each.startswith("-"))


def start_servers(entrypoint: Sequence[str], command: Sequence[str]) -> tuple[ProgramStart, ...]:
    """Servers of several processes that their words name elsewhere than first: `python -m gunicorn`, `sh -c "nginx …"`."""
    words = [word for each in (entrypoint, command) for argument in each for word in argument.split()]
    first = set(start_words(entrypoint, command))
    names = dict.fromkeys(each for each in words if each not in first and file_name(each) in SERVERS)
    return tuple(ProgramStart(path=each, kind=StartKind.OTHER, server=SERVERS[file_name(each)]) for each in names)


def start_paths(word: str, environment: Sequence[str], working_dir: str) -> tuple[str, ...]:
    """Where in an image the program of that word may be, without the first slash, the likeliest first."""
    path = next((each.removeprefix("PATH=") for each in environment if each.startswith("PATH=")), _PATH)
    if "/" in word:
        places = [posixpath.join("/", working_dir, word)]
    else:
        places = [posixpath.join("/", folder, word) for folder in path.split(":")]
    paths = [posixpath.normpath(each).lstrip("/") for each in places]
    merged = [f"usr/{each}" for each in paths if each.startswith(_MERGED)]
    return tuple(dict.fromkeys((*paths, *merged)))


def is_version_of(path: str, program: str) -> bool:
    """Whether a file is what a link to a version leads to, as `python3` to `python3.13`."""
    rest = path.removeprefix(program)
    return rest != path and bool(rest) and all(each.isdigit() or each == "." for each in rest)
