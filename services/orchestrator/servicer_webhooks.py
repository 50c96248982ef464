"""WebhookService: converts, calls one use case, converts back."""

from __future__ import annotations

from kinemesh.video.v1 import webhook_service_pb2 as pb
from kinemesh.video.v1 import webhook_service_pb2_grpc
from services.orchestrator import caller
from services.orchestrator.caller import Context
from services.orchestrator.convert import webhooks as convert
from services.orchestrator.usecases.webhooks import DEFAULT_OVERLAP_S, Webhooks


class WebhookServicer(webhook_service_pb2_grpc.WebhookServiceServicer):
    """A user's webhooks."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    async def ListWebhooks(self, request: pb.ListWebhooksRequest, context: Context) -> pb.ListWebhooksResponse:
        """Lists webhooks."""
        user = caller.user_id(context)
        found, token = await self._webhooks.page(user, request.limit, request.state, request.page_token)
        return pb.ListWebhooksResponse(webhooks=map(convert.webhook, found), next_page_token=token)

    async def GetVideoWebhook(self, request: pb.GetVideoWebhookRequest, context: Context) -> pb.GetVideoWebhookResponse:
        """Shows a webhook and its log."""
        webhook, attempts = await self._webhooks.get(caller.user_id(context), request.request_id)
        return pb.GetVideoWebhookResponse(
            webhook=convert.webhook(webhook), attempts=[convert.attempt(attempt) for attempt in attempts]
        )

    async def ReplayVideoWebhook(
        self, request: pb.ReplayVideoWebhookRequest, context: Context
    ) -> pb.ReplayVideoWebhookResponse:
        """Delivers a webhook once more."""
        webhook = await self._webhooks.replay(caller.user_id(context), request.request_id)
        return pb.ReplayVideoWebhookResponse(webhook=convert.webhook(webhook))

    async def GetWebhookSecret(
        self, request: pb.GetWebhookSecretRequest, context: Context
    ) -> pb.GetWebhookSecretResponse:
        """Shows the secret."""
        return pb.GetWebhookSecretResponse(webhook_secret=await self._webhooks.secret(caller.user_id(context)))

    async def RotateWebhookSecret(
        self, request: pb.RotateWebhookSecretRequest, context: Context
    ) -> pb.RotateWebhookSecretResponse:
        """Makes a new secret."""
        user, key = caller.user_id(context), caller.idempotency_key(context)
        overlap_s = request.overlap_seconds if request.HasField("overlap_seconds") else DEFAULT_OVERLAP_S
        return convert.rotated(await self._webhooks.rotate(user, key, overlap_s))
