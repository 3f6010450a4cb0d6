"""The host below us: its files, its devices, its processor."""
