"""Anthropic's SDK: Messages, count_tokens and the list of models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import anthropic
from anthropic.types import Message

from calls import (
    PIXEL_BASE64,
    REPORT_SCHEMA,
    Assistant,
    Call,
    Called,
    Finish,
    Report,
    Results,
    Said,
    Stream,
    ToolCall,
    Turn,
    User,
)
from harness import Failed, Plan, Route, Scenario, main, need, same
from scenarios import each, forced, is_the_answer, is_the_call, question, shared
from wire import Wire

FINISHES: Mapping[str, Finish] = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tools"}
# More than any answer has, and than the smallest budget for thinking.
LIMIT = 4096
THINKING_BUDGET = 1024
# Of the SDKs before this one, and still of many applications. Only it takes a
# temperature.
OLD_VERSION = {"anthropic-version": "2023-06-01"}


class Messages:
    dialect = "anthropic"
    has_stop = True
    any_error: type[Exception] = anthropic.APIError
    broken: type[Exception] = anthropic.APIConnectionError
    errors: Mapping[int, type[Exception]] = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
    }

    def __init__(
        self,
        base_url: str,
        key: str,
        sdk_retries: bool = False,
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        self._wire = Wire()
        retries = anthropic.DEFAULT_MAX_RETRIES if sdk_retries else 0
        self.sdk = anthropic.Anthropic(
            base_url=base_url,
            api_key=key,
            max_retries=retries,
            default_headers=headers,
            http_client=self._wire.http,
        )

    @property
    def requests(self) -> int:
        return self._wire.requests

    @property
    def streams(self) -> Mapping[str, Stream]:
        return {"raw": self._raw, "helper": self._helper}

    def ask(self, call: Call) -> Said:
        return _said(self.sdk.messages.create(**_request(call)))

    def parse(self, model: str, prompt: str) -> Report:
        messages: Any = [{"role": "user", "content": prompt}]
        message = self.sdk.messages.parse(
            model=model, messages=messages, max_tokens=LIMIT, output_format=Report
        )
        if message.parsed_output is None:
            raise Failed("nothing was parsed")
        return message.parsed_output

    def ask_nonsense(self, model: str) -> None:
        wrong = {"messages": 12}
        self.sdk.messages.create(model=model, messages=[], max_tokens=LIMIT, extra_body=wrong)

    def models(self) -> list[str]:
        return [model.id for model in self.sdk.models.list()]

    def status(self, error: Exception) -> int | None:
        return error.status_code if isinstance(error, anthropic.APIStatusError) else None

    def _raw(self, call: Call, said: Said) -> None:
        inputs: dict[int, list[str]] = {}
        for event in self.sdk.messages.create(**_request(call), stream=True):
            match event.type:
                case "message_start":
                    said.input_tokens = event.message.usage.input_tokens
                case "content_block_start" if event.content_block.type == "tool_use":
                    inputs[event.index] = [event.content_block.id, event.content_block.name]
                case "content_block_delta" if event.delta.type == "text_delta":
                    said.text += event.delta.text
                case "content_block_delta" if event.delta.type == "input_json_delta":
                    inputs[event.index].append(event.delta.partial_json)
                case "message_delta":
                    said.finish = FINISHES.get(event.delta.stop_reason or "", "other")
                    said.output_tokens = event.usage.output_tokens
                    # What the input cost may be known only now.
                    said.input_tokens = event.usage.input_tokens or said.input_tokens
                case "message_stop":
                    said.ended = True
        for call_id, name, *pieces in inputs.values():
            said.calls.append(ToolCall(call_id, name, json.loads("".join(pieces) or "{}")))

    def _helper(self, call: Call, said: Said) -> None:
        request = _request(call)
        if call.structured:
            del request["output_config"]
            request["output_format"] = Report
        with self.sdk.messages.stream(**request) as stream:
            for text in stream.text_stream:
                said.text += text
            final = _said(stream.get_final_message())
        same("the text of the deltas", said.text, final.text)
        vars(said).update(vars(final))


def _request(call: Call) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": call.model,
        "messages": [_message(turn) for turn in call.turns],
        "max_tokens": call.limit or LIMIT,
    }
    if call.system is not None:
        request["system"] = call.system
    if call.tools:
        request["tools"] = [
            {"name": t.name, "description": t.description, "input_schema": t.parameters}
            for t in call.tools
        ]
    if call.forced:
        request["tool_choice"] = {"type": "tool", "name": call.tools[0].name}
    if call.structured:
        format_ = {"type": "json_schema", "schema": REPORT_SCHEMA}
        request["output_config"] = {"format": format_}
    if call.temperature is not None:
        request["extra_body"] = {"temperature": call.temperature}
        request["extra_headers"] = OLD_VERSION
    if call.stop:
        request["stop_sequences"] = list(call.stop)
    if call.think:
        request["thinking"] = {"type": "enabled", "budget_tokens": THINKING_BUDGET}
    return request


def _message(turn: Turn) -> Any:
    match turn:
        case User(text, with_image=False):
            return {"role": "user", "content": text}
        case User(text, with_image=True):
            source = {"type": "base64", "media_type": "image/png", "data": PIXEL_BASE64}
            image = {"type": "image", "source": source}
            return {"role": "user", "content": [image, {"type": "text", "text": text}]}
        case Assistant(text):
            return {"role": "assistant", "content": text}
        case Called(own=own) if own is not None:
            return {"role": "assistant", "content": own}
        case Called(calls):
            used = [
                {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
                for call in calls
            ]
            return {"role": "assistant", "content": used}
        case Results(results):
            content = [
                {"type": "tool_result", "tool_use_id": call.id, "content": text}
                for call, text in results
            ]
            return {"role": "user", "content": content}
    raise TypeError(turn)


def _said(message: Message) -> Said:
    texts = [block.text for block in message.content if block.type == "text"]
    calls = [
        ToolCall(block.id, block.name, dict(block.input))
        for block in message.content
        if block.type == "tool_use"
    ]
    return Said(
        text="".join(texts),
        calls=calls,
        finish=FINISHES.get(message.stop_reason or "", "other"),
        ended=message.stop_reason is not None,
        input_tokens=message.usage.input_tokens,
        output_tokens=message.usage.output_tokens,
        own=message.content,
    )


def count_tokens(client: Messages, plan: Plan, route: Route) -> None:
    messages: Any = [{"role": "user", "content": plan.prompt}]
    count = client.sdk.messages.count_tokens(model=route.name, messages=messages)
    need(count.input_tokens > 0, f"{count!r}")


def adaptive_thinking(client: Messages, plan: Plan, route: Route) -> None:
    """What newer models know instead of a budget."""
    request: Any = _request(question(plan, route))
    request["thinking"] = {"type": "adaptive"}
    request["output_config"] = {"effort": "low"}
    message = client.sdk.messages.create(**request)
    is_the_answer(_said(message), plan)


def older_sdk(_client: Messages, plan: Plan, route: Route) -> None:
    """The key and the version in the headers of the SDKs before this one."""
    headers = {**OLD_VERSION, "x-api-key": plan.key, "authorization": anthropic.omit}
    client = Messages(plan.base_url, "not sent", headers=headers)
    is_the_answer(client.ask(question(plan, route)), plan)


def beta_path(client: Messages, plan: Plan, route: Route) -> None:
    """As agents ask: a query, and betas that only its own provider knows."""
    request: Any = _request(forced(plan, route))
    headers = {"anthropic-beta": "interleaved-thinking-2025-05-14"}
    message = client.sdk.messages.create(
        **request, extra_query={"beta": "true"}, extra_headers=headers
    )
    is_the_call(_said(message), plan)


def model_by_name(client: Messages, _plan: Plan, route: Route) -> None:
    same("the model", client.sdk.models.retrieve(route.name).id, route.name)


def scenarios(plan: Plan) -> Iterator[Scenario]:
    connect = partial(Messages, plan.base_url)
    yield from shared(connect, plan)
    client = connect(plan.key)
    healthy = plan.routes["healthy"]
    own = [adaptive_thinking, older_sdk, model_by_name]
    yield from each(healthy, own, client, plan)
    alike = [route for route in healthy if route.dialect == client.dialect]
    yield from each(alike, [count_tokens], client, plan)
    yield from each(plan.routes["tools"], [beta_path], client, plan)


if __name__ == "__main__":
    main(scenarios)
