"""Processors that keep the job store current.

Start with `projection` (tracking: stores the topics' events as jobs). `erasing` erases deleted
jobs' artifacts, `sweeper` publishes stalled jobs again, `notifications` (intake) submits direct
uploads. Must not import `agents.stages`, `agents.inputs`, `agents.vision` or `agents.captioners`.
"""
