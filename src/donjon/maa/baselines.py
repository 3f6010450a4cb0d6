"""TCB baselines: what is asked of platforms, by Intel's TCB evaluation data numbers.

Source: Azure Attestation REST API, "TcbBaselines". Left out is the least version of Azure's quote provider
(minimumPswLinuxVersion, minimumPswWindowsVersion), of which Intel states nothing.
"""

from collections.abc import Iterable
from datetime import datetime

from donjon.collateral.tcb_info import TcbInfo
from donjon.formats.json import Json, JsonObject


def describe(infos: Iterable[TcbInfo], selected: int | None) -> JsonObject:
    """The evaluation numbers of these TCB infos, the newest first, and which of them is the least that is accepted."""
    released: dict[int, datetime] = {}
    for info in infos:
        newest = max(level.level_status.date for level in info.levels)
        released[info.evaluation_number] = max(newest, released.get(info.evaluation_number, newest))
    baselines: list[Json] = [
        {
            "tcbIdentifier": str(number),
            "tcbEvaluationDataNumber": number,
            "tcbReleaseDate": f"{date:%FT%TZ}",
            "isSelectedTcb": number == selected,
        }
        for number, date in sorted(released.items(), reverse=True)
    ]
    return {"tcbBaselines": baselines}
