"""Files of manifests: read with their lines, looked through for pods, and told what no policy of a cluster can see.

Law: what is no pod is not judged as one, and what does not ask for SGX is never refused for it unless Kubernetes itself defines
its kind. Reading files and printing are `donjon check`'s.
"""
