"""Kafka itself: connection and embedded broker, topics, producer, raw records.

Start with `connection.py`. The consumers are in `streams/consumers/` (without a consumer group) and
`agents/workers/` (the consumer groups of the stages).
"""
