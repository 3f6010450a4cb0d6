"""Azure's Resource Manager, by Microsoft's own SDK."""
