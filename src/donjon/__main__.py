"""`python -m donjon`."""

from donjon.cli import main

main()
