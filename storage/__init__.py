"""What stays: artifacts (a directory or S3) and jobs (SQLite or the MongoDB protocol)."""
