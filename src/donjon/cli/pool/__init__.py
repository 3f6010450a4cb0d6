"""`donjon pool`: pools of machines, planned and written down for the tools that make them."""
