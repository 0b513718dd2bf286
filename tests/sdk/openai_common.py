"""What the two APIs of OpenAI's SDK share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx2
import openai

from calls import PIXEL_BASE64, Tool, ToolCall
from wire import Wire

IMAGE_URL = f"data:image/png;base64,{PIXEL_BASE64}"


class OpenAIClient:
    any_error: type[Exception] = openai.APIError
    broken: type[Exception] = openai.APIConnectionError
    errors: Mapping[int, type[Exception]] = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
    }

    def __init__(self, base_url: str, key: str, sdk_retries: bool = False) -> None:
        self._wire = Wire()
        retries = openai.DEFAULT_MAX_RETRIES if sdk_retries else 0
        self.sdk = openai.OpenAI(
            base_url=f"{base_url}/v1", api_key=key, max_retries=retries, http_client=self._wire.http
        )

    @property
    def http(self) -> httpx2.Client:
        return self._wire.http

    @property
    def requests(self) -> int:
        return self._wire.requests

    def models(self) -> list[str]:
        return [model.id for model in self.sdk.models.list()]

    def status(self, error: Exception) -> int | None:
        return error.status_code if isinstance(error, openai.APIStatusError) else None


def function(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        # The SDK's stream helpers take no others.
        "strict": True,
    }


def tool_call(call_id: str, name: str, arguments: str) -> ToolCall:
    return ToolCall(call_id, name, json.loads(arguments))
