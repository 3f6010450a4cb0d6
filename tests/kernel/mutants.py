"""Meters that are wrong in one way each: the truth must find every one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.kernel import initramfs
from tests.kernel.modules import Truth

if TYPE_CHECKING:
    from pathlib import Path

_BPF, _READER, _ROWS = "meter.bpf.c", "reader.py", "rows.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change of the meter's own sources."""

    name: str
    file: str
    old: str
    new: str
    found_by: Truth = Truth.STANDIN


MUTANTS = (
    Mutant(
        name="looks at leading threads alone",
        file=_BPF,
        old="return BPF_CORE_READ(t, group_leader, mm) == 0;",
        new="return 0;",
    ),
    Mutant(name="looks at no descriptors", file=_READER, old='("epc_vmas", "epc_files")', new='("epc_vmas",)'),
    Mutant(name="looks at no areas", file=_READER, old='("epc_vmas", "epc_files")', new='("epc_files",)'),
    Mutant(
        name="reckons version arrays from pages",
        file=_BPF,
        old="r->va = w.n;",
        new="r->va = (r->page_cnt + 511) / 512;",
        found_by=Truth.DRIVER,
    ),
    Mutant(
        name="takes pages that exist for pages in EPC",
        file=_BPF,
        old="bpf_core_read(&r->child, 4, &e->secs_child_cnt)",
        new="bpf_core_read(&r->child, 4, &e->page_cnt)",
        found_by=Truth.DRIVER,
    ),
    Mutant(
        name="forgets that a row did not fit",
        file=_BPF,
        old="if (bpf_seq_write(m->seq, &r, sizeof r)) last_encl = 0;",
        new="bpf_seq_write(m->seq, &r, sizeof r);",
    ),
    Mutant(
        name="writes any number of rows of one container",
        file=_BPF,
        old="#define ROWS_OF_ONE (1u << 16)",
        new="#define ROWS_OF_ONE (1u << 30)",
    ),
    Mutant(
        name="walks version arrays for each row",
        file=_BPF,
        old="return k && k->session == session ? k : 0;",
        new="return 0;",
    ),
    Mutant(
        name="takes any misc device for enclaves",
        file=_BPF,
        old="if (d == dev_encl) return K_ENCL;",
        new="if (d >> 20 == 10 && d != dev_vepc) return K_ENCL;",
    ),
    Mutant(
        name="goes over a part of a guest's pages",
        file=_BPF,
        old="if (v == 0) return 0;",
        new="if (v == 0 || k > 3) return 0;",
        found_by=Truth.DRIVER,
    ),
    Mutant(
        name="always counts a SECS",
        file=_BPF,
        old="r->secs = BPF_CORE_READ(e, secs.epc_page) != 0;",
        new="r->secs = 1;",
        found_by=Truth.DRIVER,
    ),
    Mutant(
        name="misses a guest's only page",
        file=_BPF,
        old="if ((h & 3) != 2 || h <= 4096) { r->vepc_pages = 1; return; }",
        new="if ((h & 3) != 2 || h <= 4096) return;",
        found_by=Truth.DRIVER,
    ),
    Mutant(
        name="names one holder of each enclave",
        file=_ROWS,
        old="self._holder_count += tally.hold(holder, room)",
        new="tally.holders = {holder}",
        found_by=Truth.DRIVER,
    ),
    Mutant(name="reads the flags as masks", file=_ROWS, old="EnclaveFlag(row.flags)", new="EnclaveFlag(row.flags >> 1)"),
    Mutant(
        name="asks what a process calls itself inside",
        file=_BPF,
        old="(void *)u + lv * sz + bpf_core_field_offset(struct upid, nr)",
        new="(void *)u + 0 * lv * sz + bpf_core_field_offset(struct upid, nr)",
    ),
)


def make(mutant: Mutant, project: Path) -> Path:
    """The package with that change, compiled; an error where its text is no longer there."""
    source = initramfs.copy_project(project)
    file = source / "donjon" / "adapters" / "epc" / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.file} has {text.count(mutant.old)} times: {mutant.old}")
    file.write_text(text.replace(mutant.old, mutant.new))
    initramfs.compile_meter(source)
    return source
