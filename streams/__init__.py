"""What travels: topics, events, the CloudEvents codec, producer and embedded broker."""
