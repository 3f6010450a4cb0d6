"""High-water marks in a file: read when they are needed, and written whole or not at all."""

import os
from pathlib import Path

from donjon.cli.files import content
from donjon.collateral import high_water
from donjon.collateral.high_water import HighWater
from donjon.collateral.plan import Channel
from donjon.collateral.trusted import TrustedCollateral
from donjon.errors import Unavailable


class StateFile:
    """The marks of one run; without a file they are forgotten."""

    def __init__(self, file: Path | None, channel: Channel) -> None:
        self._file, self._channel = file, channel
        self._marks = HighWater()
        if file is not None and file.exists():
            self._marks = high_water.parse(content(str(file), high_water.MAX_STATE))

    def advance(self, collateral: TrustedCollateral) -> None:
        """Raises `Untrusted` DJ250 where this collateral would be a step back."""
        if self._file is not None:
            self._marks = high_water.advance(self._marks, collateral, self._channel)

    def save(self) -> None:
        """Write the marks; raises `Unavailable` DJ282."""
        if self._file is None:
            return
        aside = self._file.with_name(f"{self._file.name}.{os.getpid()}.new")
        try:
            aside.write_bytes(high_water.encode(self._marks))
            aside.replace(self._file)
        except OSError as error:
            raise Unavailable("DJ282", f"state {self._file}: {error.strerror}") from error
