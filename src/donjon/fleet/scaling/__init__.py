"""How many nodes pools should have, from pods that wait for EPC: one look at a time, with what is remembered of those before.

Law: a pool grows only by nodes on which the pods that it grows for fit, as `fleet.scheduling` sees it, and never twice for them;
it shrinks only where whichever node went its pods would have room elsewhere, and bounds are always kept.
"""
