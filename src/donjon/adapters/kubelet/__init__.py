"""The kubelet: the device plugin API v1beta1 and PodResources v1, both gRPC over Unix sockets.

A door to gRPC and protobuf. A message here is a copy of a value of `donjon.node`, nothing is decided.
"""
