"""What several adapters share for talking to others: `client` carries calls over HTTP, `tls` says whom a client trusts.

The one adapter, beside how a file is read, that others may import. What one adapter alone needs stays there: gRPC in `kubelet`,
our own servers in `http`.
"""
