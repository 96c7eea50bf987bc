"""Stand-ins for the outside systems: servers that behave, and on request misbehave, like the city and the portal.

They stand outside the data's way: production code never imports them, they speak HTTP on loopback only, and each
holds its own truth (a ledger of every write it ever accepted), against which the gateway is judged.
"""
