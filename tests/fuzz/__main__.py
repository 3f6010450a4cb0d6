"""`make fuzz`: one target under a coverage-guided fuzzer. What it finds and what widens coverage stays in the corpus.

python -m tests.fuzz TARGET SECONDS
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["donjon"]):
    from tests.fuzz.targets import CORPUS, TARGETS


def main() -> None:
    """Fuzz that target for that long, from its seeds and its corpus."""
    name, seconds = sys.argv[1], sys.argv[2]
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    seeds = Path(tempfile.mkdtemp())  # Seeds are vectors, which need not be kept twice.
    for number, seed in enumerate(TARGETS[name].seeds()):
        (seeds / str(number)).write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-max_len=65536", "-timeout=5", "-rss_limit_mb=1024", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/", str(folder), str(seeds)], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
