"""`donjon attestation`: the service, its keys, and a rehearsal without SGX."""
