"""The long-running process: delivery threads, the relay that rings them, and the readers-back."""
