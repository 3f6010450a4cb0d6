"""`donjon sku`: machines with SGX, which there are and which to take."""
