"""By what the meter reads: the kernel's own counters where BPF loads, else areas, else nothing, each with the reason why."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from donjon.adapters.epc.folders import CgroupFolders
from donjon.adapters.epc.kernel import PROC, require_host
from donjon.adapters.epc.maps import AreaReader
from donjon.adapters.epc.processes import cgroups_of
from donjon.adapters.epc.reader import EnclaveReader
from donjon.errors import Unavailable
from donjon.findings import codes
from donjon.node.cgroups import CgroupPlace, place, place_of_path
from donjon.node.enclaves import EnclaveHolder, EnclavePass


class Reader(Protocol):
    """Reads passes until it is closed."""

    def read(self) -> EnclavePass:
        """One pass; raises `Unavailable`."""

    def close(self) -> None:
        """Give back what it keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderSurvey:
    """A pass, and where each holder is."""

    survey: EnclavePass
    places: dict[EnclaveHolder, CgroupPlace | None]


class Source:
    """The best reader that works here; it is chosen once, and anew while none works."""

    def __init__(self, host_root: Path, exact: Callable[[], Reader] = EnclaveReader, proc: Path = PROC) -> None:
        self._host_root, self._exact, self._proc = host_root, exact, proc
        self._reader: Reader | None = None
        self._folders = CgroupFolders(host_root)
        self._places: dict[EnclaveHolder, CgroupPlace | None] = {}
        self.obstacle: Unavailable | None = None
        """Why it is not the kernel's counters that are read."""

    def read(self) -> HolderSurvey:
        """One pass with its holders' places; raises `Unavailable`."""
        if self._reader is None:
            self._reader = self._choose()
        try:
            survey = self._reader.read()
        except Unavailable as error:
            if error.code not in codes.NO_METER:
                raise
            self._reader.close()
            self._reader = self._bound(error)
            survey = self._reader.read()
        self._places = self._locate(_holders(survey))
        return HolderSurvey(survey=survey, places=self._places)

    def _choose(self) -> Reader:
        require_host(self._proc)
        try:
            return self._exact()
        except Unavailable as error:
            return self._bound(error)

    def _bound(self, obstacle: Unavailable) -> Reader:
        """The reader of areas; raises `Unavailable` with both reasons where it cannot be had either."""
        self._reader, self.obstacle = None, obstacle
        try:
            return AreaReader(self._host_root, self._proc)
        except Unavailable as error:
            if error.code == obstacle.code:
                raise obstacle from error
            raise Unavailable(obstacle.code, f"{obstacle.message}; and by areas: {error}") from error

    def _locate(self, holders: set[EnclaveHolder]) -> dict[EnclaveHolder, CgroupPlace | None]:
        """Where each is; of one that ended since, where it was at the last pass, or where its cgroup is."""
        texts = {holder: cgroups_of(holder, self._proc) for holder in holders}
        places = {holder: place(text) for holder, text in texts.items() if text is not None}
        for holder in holders - places.keys() & self._places.keys():
            places[holder] = self._places[holder]
        return places | self._locate_folders(holders - places.keys())

    def _locate_folders(self, holders: set[EnclaveHolder]) -> dict[EnclaveHolder, CgroupPlace | None]:
        if not holders:
            return {}
        unified = self._folders.unified({holder.cgroup for holder in holders})
        memory = self._folders.memory({holder.memory_cgroup for holder in holders if holder.cgroup not in unified})
        return {
            holder: place_of_path(unified.get(holder.cgroup) or memory.get(holder.memory_cgroup) or "/") for holder in holders
        }


def _holders(survey: EnclavePass) -> set[EnclaveHolder]:
    groups = [each.holders for each in survey.enclaves.values()] + [each.holders for each in survey.guests.values()]
    groups += survey.partly
    return {holder for holders in groups for holder in holders} | {area.holder for area in survey.areas}
