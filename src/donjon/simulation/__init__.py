"""A make-believe SGX world, for development and tests on machines without SGX.

Law: whatever comes from here says so. It is never chosen by default, and nothing that it makes is trusted unless trusted by name.
"""
