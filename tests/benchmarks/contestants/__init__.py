"""What is compared: processes that load one competitor and wait for their turn."""
