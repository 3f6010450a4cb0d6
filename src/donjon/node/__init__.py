"""What a node has and offers.

Law: readings of a host go in, facts, a verdict, an offer and messages for kubelet and API server come out. Nothing here opens a
file, asks a clock or waits; the programs in `donjon.services.node` do.
"""
