"""What several adapters share for talking to others: `client` calls over HTTP, `grpc` answers, `tls` says whom a client trusts.

The one adapter, beside how a file is read, that others may import. What one adapter alone needs stays there: gRPC's calls in
`kubelet` and `keda`, our own HTTP servers in `http`.
"""
