"""Downloads the photos of URLs into quarantine, beside the stages.

Start with `processor` (from `image-submitted` to `image-downloaded`). `slots` limits the downloads
of one host and one sender, and `download` does one download in a thread.
Must not import `agents.vision`, `agents.captioners` or `agents.tracking`.
"""
