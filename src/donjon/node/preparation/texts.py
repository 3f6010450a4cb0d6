"""The files that a preparation puts on a node.

Sources: systemd rules.d/50-udev-default.rules.in (group sgx); Intel's packages (group sgx_prv, links under /dev/sgx); CRI-O
docs/crio.conf.d.5.md; k3s docs, cli/agent.md (nonroot-devices); intel/confidential-computing.tee.dcap QuoteGeneration/qcnl.
"""

import json

ENCLAVES, PROVISIONING = "sgx", "sgx_prv"
"""Who may open the two devices: systemd's group, and the one of Intel's packages."""

RULES = "/etc/udev/rules.d/60-donjon-sgx.rules"
RULES_TEXT = f"""\
# Written by donjon pool prepare. Rules of a higher number, such as Intel's or yours, come after it and win.
SUBSYSTEM=="misc", KERNEL=="sgx_enclave", GROUP="{ENCLAVES}", MODE="0660", SYMLINK+="sgx/enclave"
SUBSYSTEM=="misc", KERNEL=="sgx_vepc", GROUP="{ENCLAVES}", MODE="0660"
SUBSYSTEM=="misc", KERNEL=="sgx_provision", GROUP="{PROVISIONING}", MODE="0660", SYMLINK+="sgx/provision"
# The DCAP driver up to 1.36 calls them so.
SUBSYSTEM=="misc", KERNEL=="enclave", GROUP="{ENCLAVES}", MODE="0660"
SUBSYSTEM=="misc", KERNEL=="provision", GROUP="{PROVISIONING}", MODE="0660"
"""

CRIO = "/etc/crio/crio.conf.d/90-donjon.conf"
CRIO_TEXT = "# Written by donjon pool prepare.\n[crio.runtime]\ndevice_ownership_from_security_context = true\n"

K3S = "/etc/rancher/k3s/config.yaml.d/90-donjon.yaml"
K3S_TEXT = "# Written by donjon pool prepare.\nnonroot-devices: true\n"

CONTAINERD = "/etc/containerd/config.toml"

UNIT = "/etc/systemd/system/donjon-dev-exec.service"
UNIT_TEXT = """\
# Written by donjon pool prepare: enclaves are mapped from /dev, which must let them.
[Unit]
Description=Let what is in /dev be mapped to be executed (Intel SGX)
DefaultDependencies=no
After=systemd-udevd.service
Before=aesmd.service containerd.service crio.service kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/mount -o remount,exec /dev

[Install]
WantedBy=multi-user.target
"""

MODULES = "/etc/modules-load.d/donjon-sgx.conf"
MODULES_TEXT = "# Written by donjon pool prepare.\nintel_sgx\n"

AUTHORITY = "/usr/local/share/ca-certificates/donjon-cache.crt"
SETTINGS = "/etc/sgx_default_qcnl.conf"

AESM = (
    "sgx-aesm-service",
    "libsgx-aesm-ecdsa-plugin",
    "libsgx-aesm-pce-plugin",
    "libsgx-aesm-quote-ex-plugin",
    "libsgx-dcap-default-qpl",
)
QUOTE_PROVIDER = ("libsgx-dcap-default-qpl",)
REGISTRATION = ("sgx-ra-service",)
"""Intel's packages."""


def settings(cache: str) -> str:
    """The quote provider library's settings against a cache, as docs/collateral-cache.md has them."""
    members = {
        "pccs_url": cache,
        "use_secure_cert": True,
        "pccs_api_version": "3.1",
        "retry_times": 6,
        "retry_delay": 10,
        "pck_cache_expire_hours": 24,
        "verify_collateral_cache_expire_hours": 24,
    }
    return json.dumps(members, indent=2) + "\n"
