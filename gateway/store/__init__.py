"""The ground: one database, its transactions, its clock, where it belongs and how far it has read."""
