"""The attestation service; so far its cache of collateral, which speaks as Intel's PCCS does."""
