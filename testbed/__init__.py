"""A real Kubernetes cluster on one Linux machine, without Docker: programs built from Go modules, a few Debian packages.

It exists so that Donjon is tried on real kubelets, a real API server and real containers. Only the SGX hardware is make-believe:
it comes from `donjon.simulation.host`. `python -m testbed up` brings the cluster up, `python -m testbed down` leaves nothing.
"""
