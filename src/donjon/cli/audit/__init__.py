"""`donjon audit`: what the service decided and changed."""
