"""The API server, spoken to in plain HTTP by programs that must stay small."""
