"""Keys that anybody can sign with: their private halves stand in public repositories.

Each MRSIGNER was worked out from the published key; no private key is kept here.
"""

from collections.abc import Mapping
from typing import NamedTuple


class SampleKey(NamedTuple):
    """A public signing key, and where its private half is published."""

    key: str
    place: str


DEBUG_LOADER = "ca9ad7331448980aa28890ce73e433638377f179ab4456b2fe237193193a8d0a"
"""The signer of an Open Enclave image that has no signature and DEBUG set: its loader signs it."""

SAMPLE_KEYS: Mapping[str, SampleKey] = {
    "83d719e77deaca1470f6baf62a4d774303c899db69020f9c70ee1dfc08c7ce9e": SampleKey(
        "Intel SDK's sample key",
        "intel/linux-sgx (Enclave1_private.pem and templates); Occlum signs with it where no other key is named",
    ),
    DEBUG_LOADER: SampleKey(
        "Open Enclave's debug key",
        "openenclave (OE_DEBUG_SIGN_KEY); with it an image without a signature is signed while it is loaded",
    ),
    "d412a4f07ef83892a5915fb2ab584be31e186e5a4f95ab5f6950fd4eb8694d7b": SampleKey(
        "Intel Trust Authority's client sample",
        "intel/trustauthority-client-for-python (Enclave_private_sample.pem)",
    ),
    "6c1c59c89ed4dd9825649494fcb2ebf96a8a617a1d0589fe0147f0ef1b3f784d": SampleKey(
        "Open Enclave's attested_tls client sample",
        "openenclave (samples/attested_tls)",
    ),
    "9fa48b1629bd246a1de3d38fb7df97f6554cd65d6b3b72e85b86848ae6b578ba": SampleKey(
        "Open Enclave's attested_tls server sample",
        "openenclave (samples/attested_tls)",
    ),
    "3b0afc0422ae85733e021ad4df327acecb8a5b6d390c97187dde080153e0fb70": SampleKey(
        "Open Enclave's Visual Studio template",
        "openenclave (the extension's template)",
    ),
    "62ba6bcab59700c340bdbcd36bf74c6e0d6892cdf91671dca93bcbfff81ef9f2": SampleKey(
        "Microsoft Azure Attestation's Open Enclave sample",
        "Azure-Samples/microsoft-azure-attestation",
    ),
    "5e70caf3b3bb3b5dfaacfeaea8c2170d94e2f8c347b896f38640692b770e223f": SampleKey(
        "Intel SDK's Eclipse plug-in",
        "intel/linux-sgx (Basename_private.pem)",
    ),
    "9664d90755bd901069d4725cdd428038473d726f1cec0edf0d78e18a596b1d4e": SampleKey(
        "Intel's reference launch enclave's test key",
        "intel/linux-sgx (reference launch enclave)",
    ),
    "fbbf17d6b0700e63ad55520f17ed6d2e06c2832217cd992bad243b5022ee83bc": SampleKey(
        "Intel's reference launch enclave's second test key",
        "intel/linux-sgx (reference launch enclave)",
    ),
    "c87c2f0142180e15f48270a6b4ccc5b1b4e1569528c1080511591998f0714994": SampleKey(
        "DCAP's quote verification enclave's test key",
        "intel DCAP (qve_test_key.pem)",
    ),
    "ab4bef629e84d221883767e0e5a08c7186bbd2c72564f19079a275702d915a89": SampleKey(
        "DCAP's attestation library sample",
        "intel DCAP QVL (the attestation library's sample)",
    ),
    "c30446b4be9baf0f69728423ea613ef81a63e72acf7439fa0549001fd5482835": SampleKey(
        "Occlum's local attestation demo",
        "occlum (the local attestation demo)",
    ),
}
"""By MRSIGNER, in hexadecimal."""
