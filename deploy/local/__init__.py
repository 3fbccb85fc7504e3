"""The real servers on this machine, without Docker: Apache Kafka, MinIO, FerretDB."""
