"""Which Python the figures are of: one that was built without profiles makes all of ours a tenth dearer, and does not say so."""

import sys


def main() -> None:
    """One line, to stand beside the figures."""
    print(f"Python {' '.join(sys.version.split())} at {sys.base_prefix}")


if __name__ == "__main__":
    main()
