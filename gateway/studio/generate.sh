#!/bin/sh
# Generates the page's half of the contracts into gen/, from protos/ with the repository's own protoc. `make studio` calls it.
set -eu
cd "$(dirname "$0")"
out=$(pwd)/gen
rm -rf "$out"
mkdir "$out"
cd ../../protos
../.venv/bin/python -m grpc_tools.protoc -Ivendor -I. \
  --plugin=protoc-gen-es="$out/../node_modules/.bin/protoc-gen-es" \
  --es_out="$out" --es_opt=target=ts,import_extension=ts \
  google/api/annotations.proto google/api/http.proto google/api/httpbody.proto google/rpc/error_details.proto \
  kinemesh/billing/v1/billing_service.proto \
  kinemesh/orchestrator/v1/checkpoint.proto kinemesh/orchestrator/v1/job_service.proto \
  kinemesh/scheduler/v1/scheduler_service.proto kinemesh/scheduler/v1/worker.proto \
  kinemesh/video/v1/video.proto kinemesh/video/v1/video_service.proto kinemesh/video/v1/latent.proto
