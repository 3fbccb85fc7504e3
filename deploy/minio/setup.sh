#!/bin/sh
# Set up MinIO: the bucket, Lookstream's account, the expiry rules, the notification.
# Every step can be repeated. Needs mc and the environment of `buckets` in docker-compose.yaml.
set -eu

here=$(dirname "$0")
bucket=store/lookstream
queue=arn:minio:sqs::LOOKSTREAM:kafka

mc alias set store "$STORE_URL" "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD" >/dev/null
mc mb --ignore-existing "$bucket"

# An account with only the permissions that Lookstream needs, in this bucket only.
mc admin policy create store lookstream "$here/policy.json"
mc admin user add store lookstream "$STORE_SECRET" >/dev/null
mc admin policy attach store lookstream --user lookstream 2>/dev/null ||
    mc admin user info store lookstream | grep -q 'PolicyName: lookstream'

# Objects in quarantine expire after a week.
mc ilm import "$bucket" <"$here/lifecycle.json"

# MinIO notifies Kafka of each object under uploads/.
mc event add "$bucket" "$queue" --event put --prefix uploads/ --ignore-existing
