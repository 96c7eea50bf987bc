"""Who may see and do what: accounts, roles, relations, sessions, tokens, and the one table that decides."""
