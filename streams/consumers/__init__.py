"""Consumers that read all partitions and commit nothing, and the plan of a replay.

Start with `topic_reader.py`, the shared loop. `job_updates.py`, `deletions.py` and `history.py` say
where to start reading and how to handle records. `feed.py` delivers job updates to listeners.
"""
