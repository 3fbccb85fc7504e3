#!/bin/sh
# Bring MinIO to where it is to be: bucket, Lookstream's own account, expiry, notification.
# Every step may be repeated. Asks for mc; the environment is that of `buckets` in docker-compose.yaml.
set -eu

here=$(dirname "$0")
bucket=store/lookstream
queue=arn:minio:sqs::LOOKSTREAM:kafka

mc alias set store "$STORE_URL" "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD" >/dev/null
mc mb --ignore-existing "$bucket"

# An account that can do what Lookstream does, in this bucket only.
mc admin policy create store lookstream "$here/policy.json"
mc admin user add store lookstream "$STORE_SECRET" >/dev/null
mc admin policy attach store lookstream --user lookstream 2>/dev/null ||
    mc admin user info store lookstream | grep -q 'PolicyName: lookstream'

# What was never taken out of quarantine goes after a week.
mc ilm import "$bucket" <"$here/lifecycle.json"

# A photo put under uploads/ is told to Kafka.
mc event add "$bucket" "$queue" --event put --prefix uploads/ --ignore-existing
