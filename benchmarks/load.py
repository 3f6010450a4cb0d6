"""Load over HTTP from programs of Debian: wrk asks as fast as it is answered, hey holds a rate."""

import csv
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import packages

PROGRAMS = {"wrk": "wrk", "hey": "hey"}
CONNECTIONS = 16
JSON = "application/json"


def install() -> None:
    """Have both programs, as root if they are not there."""
    packages.install(PROGRAMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A request with a body in JSON."""

    url: str
    body: Path

    def script(self) -> Path:
        """What tells wrk of it."""
        text = f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "{JSON}"\nwrk.body = [==[{self.body.read_text("ascii")}]==]\n'
        made = self.body.with_suffix(".lua")
        made.write_text(text, encoding="ascii")
        return made


def throughput(posts: Sequence[Post], seconds: int) -> float:
    """Answers a second by all of these together, each with its connections; raises `RuntimeError` where one was no answer."""
    script, connections = posts[0].script(), f"-c{CONNECTIONS}"
    running = [
        subprocess.Popen(
            ["wrk", "-t1", connections, f"-d{seconds}s", "-s", str(script), post.url], stdout=subprocess.PIPE, text=True
        )
        for post in posts
    ]
    return sum(_answered(each.communicate()[0]) for each in running)


def latencies(post: Post, rate: float, seconds: int) -> list[float]:
    """Seconds that each answer took at that rate, by kept connections whose turns come together, as hey has it."""
    held = ["-z", f"{seconds}s", "-q", f"{rate / CONNECTIONS:.2f}", "-o", "csv"]
    rows = list(csv.DictReader(_hey(post, held).splitlines()))
    if not rows or any(row["status-code"] != "200" for row in rows):
        raise RuntimeError(f"hey: {len(rows)} answers, not all of them with status 200")
    return [float(row["response-time"]) for row in rows]


def send(post: Post, number: int) -> None:
    """So many requests, each answered."""
    told = _hey(post, ["-n", str(number)])
    answered = re.search(r"\[200\]\s+(\d+) responses", told)
    if answered is None or int(answered[1]) < number - number % CONNECTIONS:
        raise RuntimeError(told)


def _hey(post: Post, more: Sequence[str]) -> str:
    command = ["hey", "-c", str(CONNECTIONS), "-m", "POST", "-T", JSON, "-D", str(post.body), *more, post.url]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _answered(told: str) -> float:
    found = re.search(r"Requests/sec:\s+(\S+)", told)
    if found is None or "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(told)
    return float(found[1])
