"""Intel's services: the Provisioning Certification Service (PCS), and caches of it (PCCS) that speak the same."""
