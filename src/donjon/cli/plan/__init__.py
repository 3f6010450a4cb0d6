"""`donjon plan`: where pods would go, who stays Pending and why, what to buy, what a retirement moves."""
