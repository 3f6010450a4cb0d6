"""A cluster as its user sees it: read through their own kubeconfig, with whatever rights that gives them."""
