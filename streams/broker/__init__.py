"""Kafka itself: connection and embedded broker, topics, producer, raw records.

Start with `connection.py`. Reading is in `streams/consumers/` and `agents/runtime/`.
"""
