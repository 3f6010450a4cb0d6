"""`donjon quote`: quotes shown and verified."""
