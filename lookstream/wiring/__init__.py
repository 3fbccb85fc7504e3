"""The composition root: the only modules that build stores, producers, networks and stages.

Start with `gateway` (also the stage graph and the topics), then `workers` and `stages`.
`captions` and `vocabulary` check and open what the settings name. `gateway`, `agents`, `streams`
and `storage` must not import these modules.
"""
