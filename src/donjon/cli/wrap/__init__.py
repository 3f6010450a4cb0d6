"""`donjon wrap`: an existing image, brought into an enclave."""
