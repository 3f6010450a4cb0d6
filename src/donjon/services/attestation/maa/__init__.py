"""Attestation as Microsoft Azure Attestation speaks it: routes, the attester, changes, instances, and their audit."""
