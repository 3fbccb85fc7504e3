#!/bin/sh
# Submit photos from a shell with kcat. No package of Lookstream is needed.
#
#   ./producer.sh 127.0.0.1:9092 https://example.com/dress.jpg …
#
# `lookstream info` prints the broker's address as `kafka`. The script prints a job id for each URL.
# It needs kcat (Debian: apt install kcat). It does not escape URLs for JSON, so a URL must not
# contain a quote or a backslash.
set -eu

broker=$1
shift

for url in "$@"; do
    job_id=$(cat /proc/sys/kernel/random/uuid)
    printf '{"job_id": "%s", "source": {"url": "%s"}, "group": "examples"}' "$job_id" "$url" |
        kcat -P -b "$broker" -t image-submitted -k "$job_id" \
            -H ce_specversion=1.0 -H "ce_id=$job_id" -H ce_source=/examples/shell \
            -H ce_type=lookstream.image-submitted.v1 -H content-type=application/json
    echo "$job_id"
done
