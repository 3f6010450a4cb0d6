"""The migrations, one module for each step of the tables."""
