"""Reads container images: OCI layouts, archives of `docker save`, and registries by the distribution API.

Synchronous, for who inspects an image has a thread for it. Layers are streams: nothing of a layer is kept that nobody asked for.
"""
