"""Connectors to the planner: workbooks today, each form of the planner in a folder of its own."""
