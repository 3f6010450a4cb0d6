"""`donjon admission`: the rules as objects, and the webhook."""
