"""OpenAI's SDK: Responses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from openai.types.responses import Response

from calls import (
    REPORT_SCHEMA,
    Assistant,
    Call,
    Called,
    Finish,
    Report,
    Results,
    Said,
    Stream,
    Turn,
    User,
)
from harness import Failed, Plan, Scenario, main, same
from openai_common import IMAGE_URL, OpenAIClient, function, tool_call
from scenarios import shared

# Those events that carry the whole response once more.
TERMINAL = ("response.completed", "response.incomplete")


class Responses(OpenAIClient):
    dialect = "openai-responses"
    has_stop = False

    @property
    def streams(self) -> Mapping[str, Stream]:
        return {"raw": self._raw, "helper": self._helper}

    def ask(self, call: Call) -> Said:
        return _said(self.sdk.responses.create(**_request(call)))

    def parse(self, model: str, prompt: str) -> Report:
        report = self.sdk.responses.parse(
            model=model, input=prompt, text_format=Report
        ).output_parsed
        if report is None:
            raise Failed("nothing was parsed")
        return report

    def ask_nonsense(self, model: str) -> None:
        self.sdk.responses.create(model=model, input="", extra_body={"input": 12})

    def _raw(self, call: Call, said: Said) -> None:
        self._gather(self.sdk.responses.create(**_request(call), stream=True), said)

    def _helper(self, call: Call, said: Said) -> None:
        request = _request(call)
        if call.structured:
            del request["text"]
            request["text_format"] = Report
        with self.sdk.responses.stream(**request) as stream:
            self._gather(stream, said)

    def _gather(self, events: Any, said: Said) -> None:
        last_number, arguments, final = -1, "", None
        for event in events:
            in_order(event.sequence_number, last_number)
            last_number = event.sequence_number
            if event.type == "response.output_text.delta":
                said.text += event.delta
            elif event.type == "response.function_call_arguments.delta":
                arguments += event.delta
            elif event.type in TERMINAL:
                final = _said(event.response)
            elif event.type in ("error", "response.failed"):
                raise Failed(f"an event where the SDK raises: {event!r}")
        if final is None:
            return
        same("the text of the deltas", said.text, final.text)
        if final.calls:
            same("the arguments' deltas", json.loads(arguments), final.calls[0].arguments)
        vars(said).update(vars(final))


def in_order(number: int, last: int) -> None:
    if number <= last:
        raise Failed(f"event {number} comes after event {last}")


def _request(call: Call) -> dict[str, Any]:
    items = [item for turn in call.turns for item in _items(turn)]
    request: dict[str, Any] = {"model": call.model, "input": items, "store": False}
    if call.system is not None:
        request["instructions"] = call.system
    if call.tools:
        request["tools"] = [{"type": "function", **function(tool)} for tool in call.tools]
    if call.forced:
        request["tool_choice"] = {"type": "function", "name": call.tools[0].name}
    if call.structured:
        schema = {"name": "report", "schema": REPORT_SCHEMA, "strict": True}
        request["text"] = {"format": {"type": "json_schema", **schema}}
    if call.limit is not None:
        request["max_output_tokens"] = call.limit
    if call.temperature is not None:
        request["temperature"] = call.temperature
    if call.think:
        request["reasoning"] = {"effort": "low"}
    return request


def _items(turn: Turn) -> list[Any]:
    match turn:
        case User(text, with_image=False):
            return [{"role": "user", "content": text}]
        case User(text, with_image=True):
            image = {"type": "input_image", "image_url": IMAGE_URL, "detail": "auto"}
            return [{"role": "user", "content": [{"type": "input_text", "text": text}, image]}]
        case Assistant(text):
            return [{"role": "assistant", "content": text}]
        case Called(own=own) if own is not None:
            return list(own)
        case Called(calls):
            return [
                {
                    "type": "function_call",
                    "call_id": call.id,
                    "name": call.name,
                    "arguments": json.dumps(call.arguments),
                }
                for call in calls
            ]
        case Results(results):
            return [
                {"type": "function_call_output", "call_id": call.id, "output": text}
                for call, text in results
            ]
    raise TypeError(turn)


def _said(response: Response) -> Said:
    calls = [
        tool_call(item.call_id, item.name, item.arguments)
        for item in response.output
        if item.type == "function_call"
    ]
    return Said(
        text=response.output_text,
        calls=calls,
        finish=_finish(response, bool(calls)),
        ended=True,
        input_tokens=response.usage.input_tokens if response.usage else 0,
        output_tokens=response.usage.output_tokens if response.usage else 0,
        own=response.output,
    )


def _finish(response: Response, called: bool) -> Finish:
    if response.status == "completed":
        return "tools" if called else "stop"
    reason = response.incomplete_details and response.incomplete_details.reason
    if response.status == "incomplete" and reason == "max_output_tokens":
        return "length"
    return "other"


def scenarios(plan: Plan) -> Iterator[Scenario]:
    connect = partial(Responses, plan.base_url)
    yield from shared(connect, plan)


if __name__ == "__main__":
    main(scenarios)
