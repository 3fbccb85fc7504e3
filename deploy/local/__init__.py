"""The real servers for tests, without Docker: Apache Kafka, MinIO, FerretDB.

Start with `servers`. `builds` fetches and builds the programs.
"""
