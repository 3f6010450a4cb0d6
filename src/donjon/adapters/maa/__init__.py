"""Services that speak Microsoft Azure Attestation's protocol, as a client sees them."""
