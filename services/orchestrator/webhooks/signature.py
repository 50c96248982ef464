"""Signatures of webhooks: the source's header, over what Standard Webhooks signs, plus the three standard headers.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence


def headers(keys: Sequence[bytes], delivery_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Signs a delivery.

    Args:
        keys: The secrets' bytes, the present one first; the standard header carries a signature by each, the source's
            header, which has room for one, that by the first.
        delivery_id: The same in every attempt; by it the receiver recognises repetitions.
        timestamp_s: When this attempt is made, seconds since 1970.
        body: What is sent.
    """
    signed = f"{delivery_id}.{timestamp_s}.".encode() + body
    digests = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
    return {
        "Content-Type": "application/json",
        "X-Webhook-Signature": f"sha256={digests[0].hex()}",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
    }
