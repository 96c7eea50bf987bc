"""The way through the floors, one screen each: pull, plan, deliver, confirm, and the run that joins them."""
