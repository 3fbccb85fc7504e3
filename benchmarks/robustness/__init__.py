"""Attacks, broken files and faults, against a running system. Start with `hostile`."""
