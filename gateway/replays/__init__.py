"""Process jobs again: `reruns` builds the next run of one job, `service` replays a topic's events.

Start with `service`. `state` stores a replay's progress as an artifact, so that every gateway can
show it. This folder must not import routes or pages.
"""
