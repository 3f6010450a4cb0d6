"""What the service is told at start: its own settings, and those of its instances with their gates."""
