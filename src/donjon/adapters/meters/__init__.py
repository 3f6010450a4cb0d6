"""The meters of nodes, asked over the network for their reports.

Law: what comes back is somebody else's: bounded, read by `kube.epc_report`, and only of the node that was asked for.
"""
