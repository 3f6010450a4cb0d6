"""The word that Intel has for a TCB, and how the words of a platform and of its components become one.

Source: Intel SGX DCAP quote verification library, `TcbStatus` and "converge" of EvaluateTcb; PCS API v4, "tcbStatus".
"""

from enum import StrEnum


class TcbStatus(StrEnum):
    """Intel's own spelling; the last two are ours: for what has no level, and for a word that nobody here knows."""

    UP_TO_DATE = "UpToDate"
    SW_HARDENING_NEEDED = "SWHardeningNeeded"
    CONFIGURATION_NEEDED = "ConfigurationNeeded"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "ConfigurationAndSWHardeningNeeded"
    OUT_OF_DATE = "OutOfDate"
    OUT_OF_DATE_CONFIGURATION_NEEDED = "OutOfDateConfigurationNeeded"
    TD_RELAUNCH_ADVISED = "TDRelaunchAdvised"
    TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED = "TDRelaunchAdvisedConfigurationNeeded"
    REVOKED = "Revoked"
    NOT_SUPPORTED = "NotSupported"
    UNRECOGNIZED = "Unrecognized"


TERMINAL = frozenset({TcbStatus.REVOKED, TcbStatus.NOT_SUPPORTED, TcbStatus.UNRECOGNIZED})
"""What nobody can accept."""

_CONCLUDED = {
    *(TcbStatus.TD_RELAUNCH_ADVISED, TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED),
    *(TcbStatus.NOT_SUPPORTED, TcbStatus.UNRECOGNIZED),
}
_BY_WORD = {each.value: each for each in TcbStatus if each not in _CONCLUDED}
"""What a document can say; the others are concluded."""


def parse(text: str) -> TcbStatus:
    """The status that a document states; `UNRECOGNIZED` for any other word."""
    return _BY_WORD.get(text, TcbStatus.UNRECOGNIZED)
