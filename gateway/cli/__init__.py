"""The command line: a door. Answers go to stdout (with `--json` one object and nothing else), everything else to stderr."""
