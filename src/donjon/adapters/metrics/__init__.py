"""Prometheus: the metrics of our programs, each program a registry of its own."""
