"""Untrusted input: fetching URLs and decoding photos.

Start with `fetching` (limits on URLs) and `decoding` (limits on images). `connector` connects to
checked addresses only; `sandbox` runs the decoder in child processes.
Must not import `agents.runtime`, `agents.tracking` or `agents.vision`.
"""
