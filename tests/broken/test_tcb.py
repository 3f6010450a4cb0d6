"""Platforms, quoting enclaves and TDX modules below, on and beside what Intel states (docs/clauses.md, 53 to 63)."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.broken.worlds import KINDS, SGX, TDX, judge, refusal
from tests.simulation.intel import MOMENT, SEED, world

from donjon.simulation.intel.documents import IsvLevel, TdxModule
from donjon.simulation.intel.setting import COMPONENTS, PCE_SVN, TDX_COMPONENTS, setting

DATE = MOMENT.replace(hour=0)
STATUSES = (
    *("UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"),
    *("OutOfDate", "OutOfDateConfigurationNeeded", "Revoked"),
)


def status(kind: str, changes: Mapping[str, object]) -> str:
    return judge(world(kind, changes)).tcb.status


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", range(16))
def test_one_component_one_too_low(kind: str, place: int) -> None:
    """PCK components: one of the 16 one below the level's, on no other level but for the first. Not supported. Clause 53."""
    lower = tuple(svn - (index == place) for index, svn in enumerate(COMPONENTS))
    assert status(kind, {"extension.components": lower}) == ("OutOfDate" if place == 0 else "NotSupported")


@pytest.mark.parametrize("kind", KINDS)
def test_a_pcesvn_one_too_low(kind: str) -> None:
    """PCK PCESVN one below every level's. Not supported. Clause 53."""
    assert status(kind, {"extension.pce_svn": PCE_SVN - 1}) == "NotSupported"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", range(16))
def test_one_component_above(kind: str, place: int) -> None:
    """PCK components: one of the 16 above the level's, the others on it. Accepted. Clause 54."""
    higher = tuple(255 if index == place else svn for index, svn in enumerate(COMPONENTS))
    assert status(kind, {"extension.components": higher, "extension.pce_svn": 0xFFFF}) == "UpToDate"


@pytest.mark.parametrize("kind", SGX)
def test_the_tcb_of_the_certificate_counts_and_not_that_of_the_report(kind: str) -> None:
    """Report's CPUSVN and the header's SVNs zero, PCK on the level. Accepted: only the certificate's TCB is proved (QVL)."""
    assert status(kind, {"quote.body.cpu_svn": bytes(16), "quote.qe_svn": 0, "quote.pce_svn": 0}) == "UpToDate"
    high = {"quote.body.cpu_svn": bytes([255] * 16), "quote.qe_svn": 0xFFFF, "quote.pce_svn": 0xFFFF}
    assert status(kind, {**high, "extension.pce_svn": 0}) == "NotSupported"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("stated", STATUSES)
def test_a_platforms_status_is_its_level(kind: str, level: int, stated: str) -> None:
    """The first level that fits says the status, whichever that is. Clause 57 where it is Revoked."""
    lower = COMPONENTS if level == 0 else (COMPONENTS[0] - 1, *COMPONENTS[1:])
    assert status(kind, {"extension.components": lower, f"tcb_info.levels.{level}.status": stated}) == stated


@pytest.mark.parametrize("kind", KINDS)
def test_a_quoting_enclave_below_all_levels(kind: str) -> None:
    """QE ISVSVN below every level of the identity. Not supported. Clause 55."""
    assert status(kind, {"quote.qe.isv_svn": 6}) == "NotSupported"
    assert status(kind, {"quote.qe.isv_svn": 7}) == "OutOfDate"
    assert status(kind, {"quote.qe.isv_svn": 9}) == "UpToDate"


@pytest.mark.parametrize("kind", KINDS)
def test_a_revoked_quoting_enclave(kind: str) -> None:
    """QE level Revoked, platform up to date. Revoked. Clause 56."""
    assert status(kind, {"qe_identity.levels.0.status": "Revoked"}) == "Revoked"


CONVERGED = {
    "UpToDate": "OutOfDate",
    "SWHardeningNeeded": "OutOfDate",
    "ConfigurationNeeded": "OutOfDateConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded": "OutOfDateConfigurationNeeded",
    "OutOfDate": "OutOfDate",
    "OutOfDateConfigurationNeeded": "OutOfDateConfigurationNeeded",
    "Revoked": "Revoked",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("platform", "joined"), CONVERGED.items())
def test_a_quoting_enclave_that_is_out_of_date(kind: str, platform: str, joined: str) -> None:
    """QE OutOfDate beside each status of the platform. Joined as QVL does. Clause 55."""
    found = judge(world(kind, {"qe_identity.levels.0.status": "OutOfDate", "tcb_info.levels.0.status": platform})).tcb
    assert found.status == joined
    assert judge(world(kind, {"quote.qe.isv_svn": 7})).tcb.advisories == ("INTEL-SA-00002",)


def test_the_date_is_that_of_the_oldest_part() -> None:
    """Platform's TCB of February, QE's of March. The earlier one. QVL, TCB levels."""
    made = setting(SEED, MOMENT)
    assert judge(world()).tcb.date == made.tcb_info.levels[0].date < made.qe_identity.levels[0].date


def modules(*levels: IsvLevel, identity: str = "TDX_01") -> tuple[TdxModule, ...]:
    return (TdxModule(identity=identity, levels=levels),)


CURRENT = IsvLevel(isv_svn=5, date=DATE, status="UpToDate")


@pytest.mark.parametrize("kind", TDX)
@pytest.mark.parametrize("listed", [None, modules(CURRENT, identity="TDX_02"), modules(CURRENT, identity="TDX_10")])
def test_a_module_version_without_an_identity(kind: str, listed: tuple[TdxModule, ...] | None) -> None:
    """teeTcbSvn[1] = 1, and no "TDX_01". Refused, and never judged by `tdxModule` instead (aleph #1195). Clause 58."""
    assert refusal(world(kind, {"tcb_info.modules": listed})) == "DJ244"


@pytest.mark.parametrize("kind", TDX)
def test_an_empty_list_of_module_identities(kind: str) -> None:
    """ "tdxModuleIdentities": []. Refused. Clause 58."""
    assert refusal(world(kind, {"tcb_info.modules": ()})) == "DJ211"


@pytest.mark.parametrize("kind", TDX)
def test_a_module_that_is_named_twice(kind: str) -> None:
    """ "TDX_01" twice, the one of another status. Refused. Clause 58."""
    one = modules(CURRENT)
    assert refusal(world(kind, {"tcb_info.modules": one + modules(replace(CURRENT, status="Revoked"))})) == "DJ211"


@pytest.mark.parametrize("kind", TDX)
def test_a_module_below_all_its_levels(kind: str) -> None:
    """teeTcbSvn[0] below every level of its module. Not supported. Clause 59."""
    old = bytes([3, 1, 3]) + bytes(13)
    changes: dict[str, object] = {"quote.body.tee_tcb_svn": old}
    assert status(kind, changes) == "NotSupported"


@pytest.mark.parametrize("kind", ["v4 TDX 1.0", "v5 TDX 1.0"])
@pytest.mark.parametrize(
    ("stated", "joined"), [("OutOfDate", "OutOfDate"), ("Revoked", "Revoked"), ("SWHardeningNeeded", "Unrecognized")]
)
def test_a_module_that_is_not_up_to_date(kind: str, stated: str, joined: str) -> None:
    """Module OutOfDate or Revoked, or of a status that Intel gives no module; platform up to date. Clause 59."""
    assert status(kind, {"tcb_info.modules": modules(replace(CURRENT, status=stated))}) == joined


@pytest.mark.parametrize("kind", TDX)
@pytest.mark.parametrize(("field", "value"), [("mr_signer_seam", bytes(47) + b"\1"), ("seam_attributes", b"\1" + bytes(7))])
def test_a_module_of_another_signer_or_with_attributes(kind: str, field: str, value: bytes) -> None:
    """MRSIGNERSEAM or SEAMATTRIBUTES not zero, while Intel's module has zeros. Refused. Clause 60."""
    assert refusal(world(kind, {f"quote.body.{field}": value})) == "DJ244"


@pytest.mark.parametrize("kind", TDX)
@pytest.mark.parametrize("where", ["module", "modules.0"])
@pytest.mark.parametrize(("field", "value"), [("mr_signer", bytes(47) + b"\1"), ("attributes", b"\1" + bytes(7))])
def test_a_module_that_intel_states_otherwise(kind: str, where: str, field: str, value: bytes) -> None:
    """The TCB info's module has another signer or attributes. Refused, where it is the one that counts. Clause 60."""
    made = world(kind, {f"tcb_info.{where}.{field}": value})
    if where == "module":
        assert judge(made).tcb.status == "UpToDate"
    else:
        assert refusal(made) == "DJ244"


@pytest.mark.parametrize("kind", ["v4 TDX 1.0", "v5 TDX 1.0"])
def test_an_unversioned_module_is_judged_by_the_plain_one(kind: str) -> None:
    """teeTcbSvn[1] = 0: `tdxModule` says whose it must be. Accepted, and refused for another signer. Clause 60."""
    plain: dict[str, object] = {"quote.body.tee_tcb_svn": bytes([5, 0, 3]) + bytes(13), "tcb_info.modules": None}
    assert status(kind, plain) == "UpToDate"
    assert refusal(world(kind, {**plain, "tcb_info.module.mr_signer": b"\1" + bytes(47)})) == "DJ244"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("field", "value"),
    [("flags", 0x17), ("flags", 0x14), ("mr_signer", bytes(32)), ("isv_prod_id", 7), ("misc_select", 1)],
    ids=["DEBUG", "not initialised", "MRSIGNER", "ISVPRODID", "MISCSELECT"],
)
def test_a_quoting_enclave_that_is_not_intels(kind: str, field: str, value: object) -> None:
    """QE report with DEBUG, another signer, product or MISCSELECT, signed by the platform. Refused. Clause 61."""
    assert refusal(world(kind, {f"quote.qe.{field}": value})) == "DJ242"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("field", "value"), [("mr_enclave", bytes(32)), ("xfrm", 0xE7), ("flags", 0x11), ("cpu_svn", bytes(16))])
def test_what_the_identity_leaves_open(kind: str, field: str, value: object) -> None:
    """QE report with another MRENCLAVE, or attributes that the mask leaves out. Accepted. Clause 61."""
    assert status(kind, {f"quote.qe.{field}": value}) == "UpToDate"


@pytest.mark.parametrize("kind", ["v4 TDX 1.0", "v5 TDX 1.0"])
@pytest.mark.parametrize(
    ("place", "version", "expected"),
    [
        *((0, 1, "UpToDate"), (1, 1, "UpToDate"), (2, 1, "NotSupported")),
        *((0, 0, "NotSupported"), (1, 0, "NotSupported"), (2, 0, "NotSupported")),
    ],
)
def test_which_svns_of_the_module_the_platforms_level_compares(kind: str, place: int, version: int, expected: str) -> None:
    """teeTcbSvn[1] > 0: the level's components 0 and 1 are left to the module's identity; = 0: they count. Clause 62."""
    level = tuple(255 if index == place else 0 for index in range(16))
    only = replace(setting(SEED, MOMENT, kind).tcb_info.levels[0], tdx_components=level)
    changes = {"tcb_info.levels": (only,), "quote.body.tee_tcb_svn": bytes([5, version, 3]) + bytes(13)}
    assert status(kind, changes) == expected


@pytest.mark.parametrize("kind", TDX)
def test_the_late_microcode_of_tdx_one_too_low(kind: str) -> None:
    """teeTcbSvn[2] one below the level's. Not supported. Clause 62."""
    assert TDX_COMPONENTS[2] == 3
    assert status(kind, {"quote.body.tee_tcb_svn": bytes([5, 1, 2]) + bytes(13)}) == "NotSupported"


RELAUNCH = {
    # platform's level, module at launch, module now: the status
    ("UpToDate", 5, 5): "UpToDate",
    ("UpToDate", 4, 5): "TDRelaunchAdvised",
    ("UpToDate", 4, 4): "OutOfDate",
    ("UpToDate", 5, 4): "UpToDate",
    ("SWHardeningNeeded", 5, 5): "SWHardeningNeeded",
    ("SWHardeningNeeded", 4, 5): "TDRelaunchAdvised",
    ("ConfigurationNeeded", 5, 5): "ConfigurationNeeded",
    ("ConfigurationNeeded", 4, 5): "TDRelaunchAdvisedConfigurationNeeded",
    ("ConfigurationNeeded", 4, 4): "OutOfDateConfigurationNeeded",
    ("ConfigurationAndSWHardeningNeeded", 4, 5): "TDRelaunchAdvisedConfigurationNeeded",
    ("OutOfDate", 4, 5): "OutOfDate",
    ("OutOfDate", 5, 5): "OutOfDate",
    ("OutOfDateConfigurationNeeded", 4, 5): "OutOfDateConfigurationNeeded",
    ("Revoked", 4, 5): "Revoked",
    ("Revoked", 5, 5): "Revoked",
}


@pytest.mark.parametrize(("case", "expected"), RELAUNCH.items(), ids=str)
def test_a_td_on_a_module_that_was_updated_under_it(case: tuple[str, int, int], expected: str) -> None:
    """TDX 1.5: teeTcbSvn at launch, teeTcbSvn2 now. Advised to launch again where that alone would do. Clause 63."""
    platform, launch, now = case
    changes = {
        "tcb_info.levels.0.status": platform,
        "quote.body.tee_tcb_svn": bytes([launch, 1, 3]) + bytes(13),
        "quote.body.tee_tcb_svn_2": bytes([now, 1, 3]) + bytes(13),
    }
    assert status("v5 TDX 1.5", changes) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (bytes([3, 1, 3]) + bytes(13), "NotSupported"),
        (bytes([5, 2, 3]) + bytes(13), "NotSupported"),
        (bytes([5, 1, 2]) + bytes(13), "NotSupported"),
        (bytes(16), "NotSupported"),
    ],
)
def test_a_td_on_a_module_that_nobody_can_accept_by_now(now: bytes, expected: str) -> None:
    """TDX 1.5: up to date at launch, and now below every level. Not supported; Intel's library calls it up to date. Clause 63."""
    assert status("v5 TDX 1.5", {"quote.body.tee_tcb_svn_2": now}) == expected


def test_a_td_on_a_module_that_is_revoked_by_now() -> None:
    """TDX 1.5: up to date at launch, and now on a module that is revoked. Revoked. Clause 63."""
    levels = (CURRENT, replace(CURRENT, isv_svn=4, status="Revoked"))
    changes = {"tcb_info.modules": modules(*levels), "quote.body.tee_tcb_svn_2": bytes([4, 1, 3]) + bytes(13)}
    assert status("v5 TDX 1.5", changes) == "Revoked"
