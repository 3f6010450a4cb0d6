"""`donjon collateral`: what Intel states about platforms."""
