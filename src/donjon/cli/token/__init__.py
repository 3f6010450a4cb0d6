"""`donjon token`: tokens of an attestation service, shown and verified."""
