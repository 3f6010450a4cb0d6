"""Pools of machines: planned, judged, and written down for the tools that make them.

Law: a plan is read whole and every fault of it is said at once; what is written down for a tool comes of a plan without faults.
"""
