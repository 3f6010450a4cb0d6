"""The attestation service: tokens as Microsoft Azure Attestation makes them, and collateral as Intel's PCCS serves it."""
