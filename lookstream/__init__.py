"""Composition root: settings, wiring, command line, supervisor."""
