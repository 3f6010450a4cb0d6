"""`donjon policy`: policies looked at and tried offline, and those of a running service."""
