"""The deterministic simulation: production steps, a made-up school, faults and crashes, all out of one seed."""
