"""The text format in which Prometheus reads a registry."""

from prometheus_client import CollectorRegistry, generate_latest

Registry = CollectorRegistry
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def text(registry: CollectorRegistry) -> bytes:
    """All metrics of the registry in Prometheus' text format."""
    return generate_latest(registry)
