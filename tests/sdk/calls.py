"""Questions and answers without any vendor's words: the scenarios are written
in them, and each client's file puts them into the words of its SDK.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import BaseModel

# One white pixel.
PIXEL_BASE64 = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mP8/x8AAwMCAO+ip1sAAAAASUVORK5CYII="
)
PIXEL = base64.b64decode(PIXEL_BASE64)


class Report(BaseModel):
    """The structured answer that is asked for."""

    answer: str
    count: int
    mood: Literal["calm", "wild"]
    tags: list[str]


# As strict formats want it.
REPORT_SCHEMA: dict[str, Any] = {**Report.model_json_schema(), "additionalProperties": False}


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    parameters: dict[str, Any]


LOOK_UP = Tool(
    name="look_up",
    description="Looks something up.",
    parameters={
        "type": "object",
        "properties": {"query": {"type": "string", "description": "What to look for."}},
        "required": ["query"],
        "additionalProperties": False,
    },
)


@dataclass(frozen=True)
class ToolCall:
    # Gemini's may have none.
    id: str | None
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class User:
    text: str
    with_image: bool = False


@dataclass(frozen=True)
class Assistant:
    text: str


@dataclass(frozen=True)
class Called:
    """A turn of the model's that calls tools. `own` is the SDK's form of it, if
    it came from an answer: applications put that back as it is."""

    calls: tuple[ToolCall, ...]
    own: Any = None


@dataclass(frozen=True)
class Results:
    """What came of each of the calls before."""

    results: tuple[tuple[ToolCall, str], ...]


Turn = User | Assistant | Called | Results


@dataclass(frozen=True)
class Call:
    model: str
    turns: Sequence[Turn]
    system: str | None = None
    tools: tuple[Tool, ...] = ()
    # The first tool must be called.
    forced: bool = False
    # The answer is a `Report`.
    structured: bool = False
    limit: int | None = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    think: bool = False


Finish = Literal["", "stop", "length", "tools", "other"]


@dataclass
class Said:
    """An answer, as far as it came."""

    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    finish: Finish = ""
    # The dialect's terminator was seen, where its SDK shows one.
    ended: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    # For `Called.own`.
    own: Any = None


# Fills the answer in as it comes, so that what came before an error is there.
Stream = Callable[[Call, Said], None]


class Client(Protocol):
    """One SDK, in one way of being set up."""

    # The label of its dialect among the providers'.
    dialect: str
    # The SDK's class for each status, for anything it was told, and for a
    # connection that broke.
    errors: Mapping[int, type[Exception]]
    any_error: type[Exception]
    broken: type[Exception]
    # Whether the dialect has stop sequences.
    has_stop: bool

    @property
    def requests(self) -> int:
        """Sent so far, retries counted."""
        ...

    @property
    def streams(self) -> Mapping[str, Stream]:
        """Every way in which the SDK streams."""
        ...

    def ask(self, call: Call) -> Said: ...

    def parse(self, model: str, prompt: str) -> Report:
        """By the SDK's own helper for structured answers."""
        ...

    def models(self) -> list[str]: ...

    def ask_nonsense(self, model: str) -> None:
        """Sends a conversation that is none."""
        ...

    def status(self, error: Exception) -> int | None: ...


class Connect(Protocol):
    def __call__(self, key: str, sdk_retries: bool = False) -> Client:
        """A client with this key; one that retries as the SDK does by default,
        or never."""
        ...
