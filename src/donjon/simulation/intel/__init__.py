"""A make-believe Intel that really signs: its PKI, its statements about platforms, and quotes of enclaves and trust domains.

Law: everything follows from a `WorldSetting` and its seed, byte for byte; no clock, no randomness. A setting says field by field
what is to be made, `world.make` makes it, and a test that breaks something changes one field of a setting whose world is
otherwise valid. Every certificate says "Donjon simulated" in its subject, and the root is its own, which nothing trusts untold.

What it leaves out is listed in docs/limits.md: platform manifests, certification through a registration service, service TDs.
"""
