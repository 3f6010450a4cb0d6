"""`python -m tests.programs`: what tests run of Kubernetes, and our image, built before any of them: none runs beside a compiler.

Where it cannot be built, a line says so that `make check` repeats at its end; the tests that need it say the same of themselves.
"""

import sys

from testbed.binaries import CLUSTER, ensure
from testbed.demo import build_image
from testbed.layout import here
from testbed.trouble import Lacking


def main() -> None:
    """Build the programs of a cluster, the API server's policies by themselves, and the product's image, the meter's in it."""
    try:
        ensure(here(), (*CLUSTER, "admission", "metrics-server", "prometheus-adapter", "keda"))
        build_image(here())
    except Lacking as error:
        sys.stdout.write(f"SKIPPED [1] tests/programs: {' '.join(str(error).split())}\n")


if __name__ == "__main__":
    main()
