"""Events on Kafka: models and codec, the producer, and consumers without a consumer group.

Start with `events/models.py`, then `events/codec.py`. The consumer groups of the stages are in
`agents/workers/`. Imports nothing from storage, agents, gateway or lookstream.
"""
