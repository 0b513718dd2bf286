"""What every client must find behind every route, whoever answers there.

The routes of a plan, by what they are for:
  healthy      one provider, which answers
  tools        one provider, which calls the first tool
  refused      one provider, which finds the request wrong
  down         one provider, which fails
  limited      one provider, whose rate limit is reached
  continued    a stream that is cut, and a second provider
  cut          a stream that is cut, and nobody else
  tool-cut     a tool call that is cut, and nobody else
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from calls import (
    LOOK_UP,
    Assistant,
    Call,
    Called,
    Client,
    Connect,
    Report,
    Results,
    Said,
    Stream,
    ToolCall,
    Turn,
    User,
)
from harness import Failed, Plan, Route, Scenario, need, same

# Fewer words than any answer has.
# The least that the Responses API lets a client ask for.
FEW_WORDS = 16
WRONG_KEY = "sk-not-a-key-of-the-gateway"


def shared(connect: Connect, plan: Plan) -> Iterator[Scenario]:
    client = connect(plan.key)
    for use, checks in WHOLE.items():
        yield from each(plan.routes[use], checks, client, plan)
    for use, stream_checks in STREAMED.items():
        for way, stream in client.streams.items():
            for scenario in each(plan.routes[use], stream_checks, client, stream, plan):
                yield Scenario(f"{scenario.name} ({way})", scenario.run)
    yield from each(plan.routes["down"], [nothing_is_asked_twice], connect, plan)
    for once in (unknown_model, nonsense, models):
        yield Scenario(_words(once), partial(once, client, plan))
    yield Scenario("wrong key", partial(wrong_key, connect, plan))


def each(
    routes: Iterable[Route], checks: Iterable[Callable[..., None]], *given: object
) -> Iterator[Scenario]:
    """Every check on every route, with what it is given before the route."""
    for route in routes:
        for check in checks:
            yield Scenario(f"{_words(check)} {route.name}", partial(check, *given, route))


def _words(check: Callable[..., None]) -> str:
    return check.__name__.replace("_", " ")


def question(plan: Plan, route: Route) -> Call:
    return Call(route.name, [User(plan.prompt)])


# Whole answers.


def whole(client: Client, plan: Plan, route: Route) -> None:
    is_the_answer(client.ask(question(plan, route)), plan)


def conversation(client: Client, plan: Plan, route: Route) -> None:
    turns: list[Turn] = [User("Is anyone there?"), Assistant("Yes."), User(plan.prompt)]
    is_the_answer(client.ask(Call(route.name, turns, system="You are terse.")), plan)


def image(client: Client, plan: Plan, route: Route) -> None:
    is_the_answer(client.ask(Call(route.name, [User(plan.prompt, with_image=True)])), plan)


def limit(client: Client, plan: Plan, route: Route) -> None:
    said = client.ask(Call(route.name, [User(plan.prompt)], limit=FEW_WORDS))
    same("the text", said.text, " ".join(plan.answer.split(" ")[:FEW_WORDS]))
    same("the finish", said.finish, "length")


def temperature(client: Client, plan: Plan, route: Route) -> None:
    is_the_answer(client.ask(Call(route.name, [User(plan.prompt)], temperature=0.5)), plan)


def stop_sequences(client: Client, plan: Plan, route: Route) -> None:
    if not client.has_stop:
        return
    call = Call(route.name, [User(plan.prompt)], stop=("###", "END"))
    if route.dialect == "openai-responses":
        # The one dialect that has none: the answer would run on past them.
        fails(client, 400, lambda: client.ask(call))
    else:
        is_the_answer(client.ask(call), plan)


def thinking(client: Client, plan: Plan, route: Route) -> None:
    is_the_answer(client.ask(Call(route.name, [User(plan.prompt)], think=True)), plan)


def structured(client: Client, plan: Plan, route: Route) -> None:
    said = client.ask(Call(route.name, [User(plan.prompt)], structured=True))
    same("the finish", said.finish, "stop")
    is_the_report(Report.model_validate_json(said.text), plan)


def parsed(client: Client, plan: Plan, route: Route) -> None:
    is_the_report(client.parse(route.name, plan.prompt), plan)


def parallel_results(client: Client, plan: Plan, route: Route) -> None:
    calls = tuple(ToolCall(f"call_{n}", LOOK_UP.name, {"query": f"thing {n}"}) for n in (1, 2))
    results = Results(tuple((call, f"result of {call.id}") for call in calls))
    turns: list[Turn] = [User("Look two things up."), Called(calls), results]
    turns += [Assistant("Done."), User(plan.prompt)]
    is_the_answer(client.ask(Call(route.name, turns, tools=(LOOK_UP,))), plan)


def tool_call(client: Client, plan: Plan, route: Route) -> None:
    is_the_call(client.ask(forced(plan, route)), plan)


def round_trip(client: Client, plan: Plan, route: Route) -> None:
    """The result of a call that one provider made goes to every other, too."""
    call = forced(plan, route)
    said = client.ask(call)
    is_the_call(said, plan)
    results = Results(tuple((call, "a result") for call in said.calls))
    turns = [*call.turns, Called(tuple(said.calls), said.own), results]
    for other in plan.routes["healthy"]:
        try:
            is_the_answer(client.ask(Call(other.name, turns, tools=(LOOK_UP,))), plan)
        except Exception as problem:
            raise Failed(f"on {other.name}: {type(problem).__name__}: {problem}") from problem


# Streams.


def streamed(_client: Client, stream: Stream, plan: Plan, route: Route) -> None:
    is_the_answer(gathered(stream, question(plan, route)), plan)


def streamed_report(_client: Client, stream: Stream, plan: Plan, route: Route) -> None:
    said = gathered(stream, Call(route.name, [User(plan.prompt)], structured=True))
    need(said.ended, "the end was not seen")
    is_the_report(Report.model_validate_json(said.text), plan)


def streamed_tool_call(_client: Client, stream: Stream, plan: Plan, route: Route) -> None:
    said = gathered(stream, forced(plan, route))
    need(said.ended, "the end was not seen")
    is_the_call(said, plan)


def continued(_client: Client, stream: Stream, plan: Plan, route: Route) -> None:
    """Another provider goes on, and nobody notices."""
    said = gathered(stream, question(plan, route))
    same("the text", said.text, plan.answer)
    same("the finish", said.finish, "stop")
    need(said.ended, "the end was not seen")


def cut(client: Client, stream: Stream, plan: Plan, route: Route) -> None:
    """A part of an answer is never taken for all of it."""
    said = Said()
    raises(client, lambda: stream(question(plan, route), said))
    need(said.text and plan.answer.startswith(said.text), f"before the error: {said.text!r}")
    need(len(said.text) < len(plan.answer), "the whole answer, and then an error")
    same("the finish", said.finish, "")


def cut_tool_call(client: Client, stream: Stream, plan: Plan, route: Route) -> None:
    said = Said()
    raises(client, lambda: stream(forced(plan, route), said))
    same("the finish", said.finish, "")


# Errors.


def refused(client: Client, plan: Plan, route: Route) -> None:
    fails(client, 400, lambda: client.ask(question(plan, route)))


def down(client: Client, plan: Plan, route: Route) -> None:
    fails(client, 500, lambda: client.ask(question(plan, route)))
    # No 200 with an error in it: nothing was promised yet.
    fail_streamed(client, 500, question(plan, route))


def rate_limited(client: Client, plan: Plan, route: Route) -> None:
    fails(client, 429, lambda: client.ask(question(plan, route)))


def nothing_is_asked_twice(connect: Connect, plan: Plan, route: Route) -> None:
    """The gateway has tried everything: an SDK that retries as it does by
    default takes its word for it."""
    client = connect(plan.key, sdk_retries=True)
    fails(client, 500, lambda: client.ask(question(plan, route)))
    same("the number of requests", client.requests, 1)


def unknown_model(client: Client, plan: Plan) -> None:
    call = Call("no-such-model", [User(plan.prompt)])
    fails(client, 404, lambda: client.ask(call))
    fail_streamed(client, 404, call)


def nonsense(client: Client, plan: Plan) -> None:
    for route in plan.routes["healthy"]:
        fails(client, 400, partial(client.ask_nonsense, route.name))


def wrong_key(connect: Connect, plan: Plan) -> None:
    client = connect(WRONG_KEY)
    fails(client, 401, lambda: client.ask(question(plan, plan.routes["healthy"][0])))


def models(client: Client, plan: Plan) -> None:
    missing = {r.name for r in plan.routes["healthy"]} - set(client.models())
    same("missing in the list", missing, set())


# What is looked at.


def forced(plan: Plan, route: Route) -> Call:
    return Call(route.name, [User(plan.prompt)], tools=(LOOK_UP,), forced=True)


def gathered(stream: Stream, call: Call) -> Said:
    said = Said()
    stream(call, said)
    return said


def is_the_answer(said: Said, plan: Plan) -> None:
    same("the text", said.text, plan.answer)
    same("the finish", said.finish, "stop")
    need(said.ended, "the end was not seen")
    has_usage(said)


def is_the_call(said: Said, plan: Plan) -> None:
    same("the calls", [call.name for call in said.calls], [LOOK_UP.name])
    # Its parameters' schema wants this member and no other.
    same("the arguments", said.calls[0].arguments, {"query": plan.answer})
    same("the finish", said.finish, "tools")


def is_the_report(report: Report, plan: Plan) -> None:
    same("the answer in the report", report.answer, plan.answer)


def has_usage(said: Said) -> None:
    need(said.input_tokens > 0, f"{said.input_tokens} tokens of input")
    need(said.output_tokens > 0, f"{said.output_tokens} tokens of output")


def raises(client: Client, act: Callable[[], object]) -> Exception:
    """What the gateway said was wrong: a connection that breaks says nothing."""
    try:
        outcome = act()
    except client.broken as error:
        raise Failed(f"the connection broke: {error}") from error
    except client.any_error as error:
        return error
    raise Failed(f"no error, but {outcome!r}")


def fails(client: Client, status: int, act: Callable[[], object]) -> Exception:
    """With the SDK's class for this status; 500 stands for all from there on."""
    error = raises(client, act)
    seen = client.status(error)
    named = f"{type(error).__name__} {seen}: {error}"
    need(isinstance(error, client.errors[status]), f"not {client.errors[status].__name__}: {named}")
    need(seen is not None and (seen == status or seen > status == 500), f"not {status}: {named}")
    return error


def fail_streamed(client: Client, status: int, call: Call) -> None:
    for stream in client.streams.values():
        fails(client, status, partial(stream, call, Said()))


WHOLE: dict[str, list[Callable[[Client, Plan, Route], None]]] = {
    "healthy": [
        whole,
        conversation,
        image,
        limit,
        temperature,
        stop_sequences,
        thinking,
        structured,
        parsed,
        parallel_results,
    ],
    "tools": [tool_call, round_trip],
    "refused": [refused],
    "down": [down],
    "limited": [rate_limited],
}

STREAMED: dict[str, list[Callable[[Client, Stream, Plan, Route], None]]] = {
    "healthy": [streamed, streamed_report],
    "tools": [streamed_tool_call],
    "continued": [continued],
    "cut": [cut],
    "tool-cut": [cut_tool_call],
}
