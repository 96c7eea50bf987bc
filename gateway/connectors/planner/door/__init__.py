"""The planner's JSON door: books of rows, pulled by HTTP or SQL, or pushed."""
