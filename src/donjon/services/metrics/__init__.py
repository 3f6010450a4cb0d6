"""The Kubernetes metrics APIs with EPC in them: what `donjon metrics serve` runs, behind the API server."""
