"""Google's SDK: generateContent, embeddings, countTokens and the list of models."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import httpx2
from google import genai
from google.genai import errors, types

from calls import (
    PIXEL,
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
from scenarios import each, fails, is_the_answer, question, shared
from wire import Wire

FINISHES: Mapping[types.FinishReason, Finish] = {
    types.FinishReason.STOP: "stop",
    types.FinishReason.MAX_TOKENS: "length",
}
THINKING_BUDGET = 1024
DIMENSIONS = 8


class Gemini:
    dialect = "gemini"
    has_stop = True
    any_error: type[Exception] = errors.APIError
    broken: type[Exception] = httpx2.HTTPError
    errors: Mapping[int, type[Exception]] = {
        400: errors.ClientError,
        401: errors.ClientError,
        404: errors.ClientError,
        429: errors.ClientError,
        500: errors.ServerError,
    }

    def __init__(
        self, base_url: str, key: str, sdk_retries: bool = False, version: str | None = None
    ) -> None:
        """By default it never retries. Without a version it takes its own."""
        del sdk_retries
        self._wire = Wire()
        options = types.HttpOptions(
            base_url=base_url, api_version=version, httpx_client=self._wire.http
        )
        self.sdk = genai.Client(api_key=key, vertexai=False, http_options=options)

    @property
    def requests(self) -> int:
        return self._wire.requests

    @property
    def streams(self) -> Mapping[str, Stream]:
        return {"raw": self._raw}

    def ask(self, call: Call) -> Said:
        said = Said()
        _take(self.sdk.models.generate_content(**_request(call)), said)
        return _finished(said)

    def parse(self, model: str, prompt: str) -> Report:
        config = types.GenerateContentConfig(
            response_mime_type="application/json", response_schema=Report
        )
        response = self.sdk.models.generate_content(model=model, contents=prompt, config=config)
        if not isinstance(response.parsed, Report):
            raise Failed(f"parsed is {response.parsed!r}")
        return response.parsed

    def ask_nonsense(self, model: str) -> None:
        wrong = types.HttpOptions(extra_body={"contents": 12})
        config = types.GenerateContentConfig(http_options=wrong)
        self.sdk.models.generate_content(model=model, contents="hi", config=config)

    def models(self) -> list[str]:
        return [(model.name or "").removeprefix("models/") for model in self.sdk.models.list()]

    def status(self, error: Exception) -> int | None:
        return error.code if isinstance(error, errors.APIError) else None

    def _raw(self, call: Call, said: Said) -> None:
        for response in self.sdk.models.generate_content_stream(**_request(call)):
            _take(response, said)
        _finished(said)


def _take(response: types.GenerateContentResponse, said: Said) -> None:
    """One response: all of an answer, or the next piece of it."""
    if response.usage_metadata is not None:
        said.input_tokens = response.usage_metadata.prompt_token_count or 0
        said.output_tokens = response.usage_metadata.candidates_token_count or 0
    for candidate in response.candidates or []:
        if candidate.content is not None and candidate.content.parts:
            said.own = candidate.content
        for part in (candidate.content and candidate.content.parts) or []:
            said.text += "" if part.thought else part.text or ""
            if part.function_call is not None:
                made = part.function_call
                said.calls.append(ToolCall(made.id, made.name or "", made.args or {}))
        if candidate.finish_reason is not None:
            said.finish = FINISHES.get(candidate.finish_reason, "other")
            said.ended = True


def _finished(said: Said) -> Said:
    """The dialect has no word of its own for an answer that calls tools."""
    if said.calls and said.finish == "stop":
        said.finish = "tools"
    return said


def _request(call: Call) -> dict[str, Any]:
    config = types.GenerateContentConfig(system_instruction=call.system)
    if call.tools:
        declared = [
            types.FunctionDeclaration(
                name=t.name, description=t.description, parameters_json_schema=t.parameters
            )
            for t in call.tools
        ]
        config.tools = [types.Tool(function_declarations=declared)]
    if call.forced:
        calling = types.FunctionCallingConfig(
            mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=[call.tools[0].name]
        )
        config.tool_config = types.ToolConfig(function_calling_config=calling)
    if call.structured:
        config.response_mime_type = "application/json"
        config.response_json_schema = REPORT_SCHEMA
    config.max_output_tokens = call.limit
    config.temperature = call.temperature
    config.stop_sequences = list(call.stop) or None
    if call.think:
        config.thinking_config = types.ThinkingConfig(thinking_budget=THINKING_BUDGET)
    contents = [_content(turn) for turn in call.turns]
    return {"model": call.model, "contents": contents, "config": config}


def _content(turn: Turn) -> types.Content:
    match turn:
        case User(text, with_image):
            parts = [types.Part.from_text(text=text)]
            if with_image:
                parts.append(types.Part.from_bytes(data=PIXEL, mime_type="image/png"))
            return types.Content(role="user", parts=parts)
        case Assistant(text):
            return types.Content(role="model", parts=[types.Part.from_text(text=text)])
        case Called(own=types.Content() as own):
            return own
        case Called(calls):
            made = [types.FunctionCall(id=c.id, name=c.name, args=c.arguments) for c in calls]
            parts = [types.Part(function_call=call) for call in made]
            return types.Content(role="model", parts=parts)
        case Results(results):
            answered = [
                types.FunctionResponse(id=call.id, name=call.name, response={"result": text})
                for call, text in results
            ]
            parts = [types.Part(function_response=response) for response in answered]
            return types.Content(role="user", parts=parts)
    raise TypeError(turn)


def count_tokens(client: Gemini, plan: Plan, route: Route) -> None:
    count = client.sdk.models.count_tokens(model=route.name, contents=plan.prompt)
    need(count.total_tokens, f"{count!r}")


def beta_version(_client: Gemini, plan: Plan, route: Route) -> None:
    """The paths of the SDKs before this one."""
    client = Gemini(plan.base_url, plan.key, version="v1beta")
    is_the_answer(client.ask(question(plan, route)), plan)
    said = Said()
    client.streams["raw"](question(plan, route), said)
    is_the_answer(said, plan)


def array_stream(_client: Gemini, plan: Plan, route: Route) -> None:
    """Without `alt=sse` a stream is a JSON array, and old clients have the key
    in the query. No SDK does this any more."""
    url = f"{plan.base_url}/v1beta/models/{route.name}:streamGenerateContent?key={plan.key}"
    body = json.dumps({"contents": [{"role": "user", "parts": [{"text": plan.prompt}]}]})
    request = urllib.request.Request(url, body.encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as response:
        pieces = json.load(response)
    need(isinstance(pieces, list) and len(pieces) > 1, f"no array of pieces: {pieces!r}")
    said = Said()
    for piece in pieces:
        _take(types.GenerateContentResponse.model_validate(piece), said)
    is_the_answer(said, plan)


def embeddings(client: Gemini, _plan: Plan, route: Route) -> None:
    config = types.EmbedContentConfig(output_dimensionality=DIMENSIONS)
    # Of models with "gemini" in their names the SDK takes all contents for one.
    texts: Any = ["one text", "another text"][: 1 if "gemini" in route.name else 2]
    response = client.sdk.models.embed_content(model=route.name, contents=texts, config=config)
    vectors = [embedding.values for embedding in response.embeddings or []]
    same("the vectors' dimensions", [len(v or []) for v in vectors], [DIMENSIONS] * len(texts))
    need(len(texts) == 1 or vectors[0] != vectors[1], "two texts with one vector")


def no_embeddings(client: Gemini, _plan: Plan, route: Route) -> None:
    text = "one text"
    fails(client, 400, lambda: client.sdk.models.embed_content(model=route.name, contents=text))


def model_by_name(client: Gemini, _plan: Plan, route: Route) -> None:
    same("the model", client.sdk.models.get(model=route.name).name, f"models/{route.name}")


def scenarios(plan: Plan) -> Iterator[Scenario]:
    connect = partial(Gemini, plan.base_url)
    yield from shared(connect, plan)
    client = connect(plan.key)
    healthy = plan.routes["healthy"]
    yield from each(healthy, [beta_version, array_stream, model_by_name], client, plan)
    alike = [route for route in healthy if route.dialect == client.dialect]
    yield from each(alike, [count_tokens], client, plan)
    yield from each(plan.routes["embeddings"], [embeddings], client, plan)
    yield from each(plan.routes["no-embeddings"], [no_embeddings], client, plan)


if __name__ == "__main__":
    main(scenarios)
