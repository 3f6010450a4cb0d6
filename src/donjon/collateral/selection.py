"""Which of a platform's PCK certificates its quoting enclave should use: the highest that the platform's TCB reaches.

Source: intel/confidential-computing.tee.dcap, tools/PCKCertSelection (`PCKSorter`). The certificates are put under the levels of
the TCB info, the highest first, within a level the higher before the lower; the first whose TCB the platform has is the one.
TCBs are compared component by component, so two of them may be neither higher nor lower.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from donjon.collateral.tcb_info import TcbLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcb:
    """Security version numbers: those of a platform as it is, or those for which Intel issued a certificate."""

    components: bytes  # 16 SVNs; a raw CPUSVN is the same for TCB type 0, the only one that there is
    pce_svn: int

    def reaches(self, other: "Tcb") -> bool:
        """Whether each of its numbers is at least the other's."""
        return self.pce_svn >= other.pce_svn and all(map(int.__ge__, self.components, other.components))


def select(platform: Tcb, certificate_tcbs: Sequence[Tcb], levels: Sequence[TcbLevel]) -> int | None:
    """The index of the best certificate by its TCB; `None` where the platform reaches none of them.

    The levels are in descending order, as `tcbinfo.parse` gives them; where neither of two certificates is the higher one, the
    first stays the first.
    """
    steps = [Tcb(components=each.sgx, pce_svn=each.pce_svn) for each in levels]
    under: list[list[int]] = [[] for _ in range(len(steps) + 1)]  # The last has those that reach no level.
    for index, tcb in enumerate(certificate_tcbs):
        step = next((place for place, each in enumerate(steps) if tcb.reaches(each)), len(steps))
        _insert(under[step], index, certificate_tcbs)
    ordered = [index for indices in under for index in indices]
    return next((index for index in ordered if platform.reaches(certificate_tcbs[index])), None)


def _insert(indices: list[int], index: int, certificate_tcbs: Sequence[Tcb]) -> None:
    """Before the first that it reaches, or at the end."""
    place = next((at for at, each in enumerate(indices) if certificate_tcbs[index].reaches(certificate_tcbs[each])), len(indices))
    indices.insert(place, index)
