"""gRPC face of the encoder: convert, one use case, convert."""

from __future__ import annotations

from typing import Any

import grpc

from kinemesh.encoder.v1 import encoder_service_pb2 as pb
from kinemesh.encoder.v1 import encoder_service_pb2_grpc as pb_grpc
from services.encoder import convert
from services.encoder.usecases import EncodePrompt

Context = grpc.aio.ServicerContext[Any, Any]


class EncoderServicer(pb_grpc.EncoderServiceServicer):
    """The internal service."""

    def __init__(self, encode_prompt: EncodePrompt) -> None:
        self._encode_prompt = encode_prompt

    async def EncodePrompt(self, request: pb.EncodePromptRequest, context: Context) -> pb.EncodePromptResponse:
        """Encodes a prompt, or finds it encoded."""
        embedding, cached = await self._encode_prompt(convert.to_prompt(request))
        return convert.from_embedding(embedding, cached=cached)

    async def GetCacheStats(self, request: pb.GetCacheStatsRequest, context: Context) -> pb.GetCacheStatsResponse:
        """Tells how the cache does."""
        return convert.from_stats(await self._encode_prompt.stats())
