#!/bin/sh
# Hand photos over from a shell, with kcat and nothing of ours.
#
#   ./producer.sh 127.0.0.1:9092 https://example.com/dress.jpg …
#
# The broker's address is what `lookstream info` calls kafka. Prints a job id for each URL.
# Needs: kcat (Debian: apt install kcat). URLs with a quote or a backslash in them would have to
# be escaped for JSON first.
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
