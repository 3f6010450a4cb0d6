"""The SGX architecture as values, in the names of the Intel SDM.

Law: nothing here knows Linux, Kubernetes or a network; what a host says is turned into facts in `donjon.node`.
"""
