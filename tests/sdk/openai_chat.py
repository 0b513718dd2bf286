"""OpenAI's SDK: Chat Completions, Embeddings and the list of models."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import openai
from openai.types.chat import ChatCompletion

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
from harness import Failed, Plan, Route, Scenario, main, need, same
from openai_common import IMAGE_URL, OpenAIClient, function, tool_call
from scenarios import each, fails, is_the_answer, question, shared

FINISHES: Mapping[str, Finish] = {"stop": "stop", "length": "length", "tool_calls": "tools"}
DIMENSIONS = 8
# Of the providers' dialects.
WITHOUT_SEED = ("anthropic", "openai-responses")
ONE_CHOICE = ("anthropic", "openai-responses")


class Chat(OpenAIClient):
    dialect = "openai"
    has_stop = True

    @property
    def streams(self) -> Mapping[str, Stream]:
        return {"raw": self._raw, "helper": self._helper}

    def ask(self, call: Call) -> Said:
        return _said(self.sdk.chat.completions.create(**_request(call)))

    def parse(self, model: str, prompt: str) -> Report:
        messages: Any = [{"role": "user", "content": prompt}]
        completion = self.sdk.chat.completions.parse(
            model=model, messages=messages, response_format=Report
        )
        report = completion.choices[0].message.parsed
        if report is None:
            raise Failed("nothing was parsed")
        return report

    def ask_nonsense(self, model: str) -> None:
        wrong = {"messages": 12}
        self.sdk.chat.completions.create(model=model, messages=[], extra_body=wrong)

    def _raw(self, call: Call, said: Said) -> None:
        arguments: dict[int, list[str]] = {}
        options: Any = {"stream": True, "stream_options": {"include_usage": True}}
        for chunk in self.sdk.chat.completions.create(**_request(call), **options):
            if chunk.usage is not None:
                said.input_tokens = chunk.usage.prompt_tokens
                said.output_tokens = chunk.usage.completion_tokens
            for choice in chunk.choices:
                said.text += choice.delta.content or ""
                for part in choice.delta.tool_calls or []:
                    pieces = arguments.setdefault(part.index, [part.id, part.function.name])
                    pieces.append(part.function.arguments or "")
                if choice.finish_reason is not None:
                    said.finish = FINISHES.get(choice.finish_reason, "other")
                    said.ended = True
        for call_id, name, *pieces in arguments.values():
            said.calls.append(tool_call(call_id, name, "".join(pieces)))

    def _helper(self, call: Call, said: Said) -> None:
        request = _request(call)
        if call.structured:
            request["response_format"] = Report
        options: Any = {"stream_options": {"include_usage": True}}
        with self.sdk.chat.completions.stream(**request, **options) as stream:
            for event in stream:
                if event.type == "content.delta":
                    said.text += event.delta
            final = _said(stream.get_final_completion())
        same("the text of the deltas", said.text, final.text)
        vars(said).update(vars(final))


def _request(call: Call) -> dict[str, Any]:
    messages = [message for turn in call.turns for message in _messages(turn)]
    if call.system is not None:
        messages.insert(0, {"role": "system", "content": call.system})
    request: dict[str, Any] = {"model": call.model, "messages": messages}
    if call.tools:
        request["tools"] = [{"type": "function", "function": function(t)} for t in call.tools]
    if call.forced:
        name = {"name": call.tools[0].name}
        request["tool_choice"] = {"type": "function", "function": name}
    if call.structured:
        schema = {"name": "report", "schema": REPORT_SCHEMA, "strict": True}
        request["response_format"] = {"type": "json_schema", "json_schema": schema}
    if call.limit is not None:
        request["max_completion_tokens"] = call.limit
    if call.temperature is not None:
        request["temperature"] = call.temperature
    if call.stop:
        request["stop"] = list(call.stop)
    if call.think:
        request["reasoning_effort"] = "low"
    return request


def _messages(turn: Turn) -> list[Any]:
    match turn:
        case User(text, with_image=False):
            return [{"role": "user", "content": text}]
        case User(text, with_image=True):
            image = {"type": "image_url", "image_url": {"url": IMAGE_URL}}
            return [{"role": "user", "content": [{"type": "text", "text": text}, image]}]
        case Assistant(text):
            return [{"role": "assistant", "content": text}]
        case Called(own=own) if own is not None:
            return [own]
        case Called(calls):
            listed = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
                }
                for call in calls
            ]
            return [{"role": "assistant", "content": None, "tool_calls": listed}]
        case Results(results):
            return [{"role": "tool", "tool_call_id": c.id, "content": text} for c, text in results]
    raise TypeError(turn)


def _said(completion: ChatCompletion) -> Said:
    choice, usage = completion.choices[0], completion.usage
    calls = [
        tool_call(call.id, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or []
        if call.type == "function"
    ]
    return Said(
        text=choice.message.content or "",
        calls=calls,
        finish=FINISHES.get(choice.finish_reason, "other"),
        ended=True,
        input_tokens=usage.prompt_tokens if usage else 0,
        output_tokens=usage.completion_tokens if usage else 0,
        own=choice.message,
    )


def no_usage_unasked(client: Chat, plan: Plan, route: Route) -> None:
    messages: Any = [{"role": "user", "content": plan.prompt}]
    stream = client.sdk.chat.completions.create(model=route.name, messages=messages, stream=True)
    for chunk in stream:
        filtered = getattr(chunk, "prompt_filter_results", None)  # Azure says so first.
        need(chunk.choices or filtered, f"a chunk without a choice: {chunk!r}")
        same("the usage", chunk.usage, None)


def dropped_is_named(client: Chat, plan: Plan, route: Route) -> None:
    """What only tunes the answer is left out where it cannot be said."""
    request: Any = {**_request(question(plan, route)), "seed": 7}
    response = client.sdk.chat.completions.with_raw_response.create(**request)
    is_the_answer(_said(response.parse()), plan)
    named = response.headers.get("x-backstay-dropped", "").replace(" ", "").split(",")
    same("whether the seed was dropped", "seed" in named, route.dialect in WITHOUT_SEED)


def inexpressible_is_refused(client: Chat, plan: Plan, route: Route) -> None:
    """What is part of the answer is not left out: nobody gets one choice for two."""
    if route.dialect not in ONE_CHOICE:
        return
    request: Any = {**_request(question(plan, route)), "n": 2}
    error = fails(client, 400, lambda: client.sdk.chat.completions.create(**request))
    same("the field at fault", getattr(error, "param", None), "n")


def embeddings(client: Chat, _plan: Plan, route: Route) -> None:
    texts = ["one text", "another text"]
    # The SDK asks for base64 by itself.
    packed = client.sdk.embeddings.create(model=route.name, input=texts)
    plain = client.sdk.embeddings.create(model=route.name, input=texts, encoding_format="float")
    same("the indexes", [entry.index for entry in packed.data], [0, 1])
    vectors = [entry.embedding for entry in packed.data]
    need(vectors[0] != vectors[1], "two texts with one vector")
    for vector, entry in zip(vectors, plain.data, strict=True):
        need(vector, "an empty vector")
        pairs = zip(vector, entry.embedding, strict=True)
        close = all(math.isclose(a, b, abs_tol=1e-6) for a, b in pairs)
        need(close, "base64 and floats differ")


def embedding_dimensions(client: Chat, _plan: Plan, route: Route) -> None:
    few = client.sdk.embeddings.create(model=route.name, input="one text", dimensions=DIMENSIONS)
    same("the dimensions", len(few.data[0].embedding), DIMENSIONS)


def no_embeddings(client: Chat, _plan: Plan, route: Route) -> None:
    fails(client, 400, lambda: client.sdk.embeddings.create(model=route.name, input="one text"))


def model_by_name(client: Chat, _plan: Plan, route: Route) -> None:
    same("the model", client.sdk.models.retrieve(route.name).id, route.name)


def azure_client(client: Chat, plan: Plan, route: Route) -> None:
    """The other client of the SDK: the model is in the path."""
    azure = openai.AzureOpenAI(
        azure_endpoint=plan.base_url,
        api_version="2024-10-21",
        api_key=plan.key,
        max_retries=0,
        http_client=client.http,
    )
    request: Any = _request(question(plan, route))
    is_the_answer(_said(azure.chat.completions.create(**request)), plan)


def scenarios(plan: Plan) -> Iterator[Scenario]:
    connect = partial(Chat, plan.base_url)
    yield from shared(connect, plan)
    client = connect(plan.key)
    own = [
        no_usage_unasked,
        dropped_is_named,
        inexpressible_is_refused,
        model_by_name,
        azure_client,
    ]
    yield from each(plan.routes["healthy"], own, client, plan)
    vectors = [embeddings, embedding_dimensions]
    yield from each(plan.routes["embeddings"], vectors, client, plan)
    yield from each(plan.routes["no-embeddings"], [no_embeddings], client, plan)


if __name__ == "__main__":
    main(scenarios)
