"""A stream of answers ends only when no question has come for a while; a small app stands in for Gradio's server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from anyio.from_thread import start_blocking_portal
from starlette.types import Message, Receive, Scope, Send

from medbertde.ui.streams import Streams

TASKS: list[asyncio.Task[None]] = []  # so that none is collected while it runs
END = b'data: {"msg":"close_stream"}\n\n'
STEP, COMPLETE = b'data: {"msg":"process_generating"}\n\n', b'data: {"msg":"process_completed"}\n\n'


class App:
    """Answers each call with the next list of chunks, as a stream of its own."""

    def __init__(self, *answers: list[bytes], pause_s: float = 0) -> None:
        self.answers, self.pause_s = list(answers), pause_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for chunk in self.answers.pop(0):
            await asyncio.sleep(self.pause_s)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def served(
    app: App,
    *,
    patience_s: float = 0.01,
    step_s: float = 5,
    stays: bool = True,
    on_body: Callable[[Streams, bytes], None] = lambda *_: None,
) -> list[Message]:
    """What the browser gets, which leaves at once unless it `stays`; `on_body` sees each chunk as it goes out."""
    sent: list[Message] = []
    streams = Streams(patience_s, step_s=step_s)

    async def send(message: Message) -> None:
        sent.append(message)
        on_body(streams, message.get("body", b""))
        await asyncio.sleep(0)  # what was asked is heard

    requests = [] if stays else [{"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        return requests.pop(0) if requests else await asyncio.Future()

    with start_blocking_portal() as portal:  # a loop of its own: the browser tests have one running in this thread
        portal.call(streams.serve, app, {"type": "http"}, receive, send, "page")
    assert streams._open == {}
    return sent


def ask(streams: Streams, session_hash: str) -> None:
    """Ask while the stream goes on."""
    TASKS.append(asyncio.get_running_loop().create_task(streams.asked(session_hash)))


def body(sent: list[Message]) -> bytes:
    assert [message["type"] for message in sent] == ["http.response.start", *["http.response.body"] * (len(sent) - 1)]
    assert [bool(message["more_body"]) for message in sent[1:]] == [True] * (len(sent) - 2) + [False]
    return b"".join(message["body"] for message in sent[1:])


def test_the_end_comes_when_no_question_does() -> None:
    assert body(served(App([b"one", END]), patience_s=0.01)) == b"one" + END


def test_a_question_after_the_last_answer_is_answered_in_the_same_stream() -> None:
    def ask_at_the_end_of_the_first(streams: Streams, chunk: bytes) -> None:
        if chunk == b"one":
            asyncio.get_running_loop().call_later(0.01, ask, streams, "page")

    sent = served(App([b"one", END], [b"two", END]), patience_s=0.5, on_body=ask_at_the_end_of_the_first)
    assert body(sent) == b"one" + b"two" + END


def test_a_question_of_another_page_or_before_the_end_keeps_nothing_open() -> None:
    def ask_too_early(streams: Streams, chunk: bytes) -> None:
        ask(streams, "page" if chunk == b"one" else "another page")

    assert body(served(App([b"one", END]), patience_s=0.01, on_body=ask_too_early)) == b"one" + END


def test_nothing_is_held_open_for_a_browser_that_has_left() -> None:
    before = time.monotonic()
    assert body(served(App([b"one", END]), patience_s=60, stays=False)) == b"one" + END
    assert time.monotonic() - before < 30


def test_an_answer_without_an_end_is_passed_on_as_it_is() -> None:
    assert body(served(App([b"refused"]), patience_s=5)) == b"refused"


def test_the_last_step_of_an_answer_comes_together_with_the_word_that_it_is_complete() -> None:
    sent = served(App([b"one", STEP, STEP, COMPLETE, END]))
    assert [message["body"] for message in sent[1:]] == [b"one", STEP, STEP + COMPLETE, END]


def test_a_step_that_nothing_follows_for_a_while_comes_by_itself() -> None:
    sent = served(App([STEP, COMPLETE, END], pause_s=0.2), step_s=0.02)
    assert [message["body"] for message in sent[1:]] == [STEP, COMPLETE, END]


def test_a_step_whose_answer_breaks_off_goes_out_with_the_last_piece() -> None:
    assert body(served(App([b"one", STEP]))) == b"one" + STEP


def test_a_question_that_crosses_with_the_end_is_confirmed_after_the_browser_has_read_that() -> None:
    order: list[str] = []

    async def cross() -> None:
        streams = Streams(patience_s=0, crossing_s=0.05)
        confirmed: list[asyncio.Task[None]] = []

        async def send(message: Message) -> None:
            if message.get("body") == END:
                order.append("end")
                confirmed.append(asyncio.create_task(streams.asked("page")))
                confirmed[0].add_done_callback(lambda _task: order.append("confirmed"))
                await asyncio.sleep(0.1)  # longer than `crossing_s`, which counts from the end of sending
                order.append("read")

        async def receive() -> Message:
            return await asyncio.Future()

        await streams.serve(App([b"one", END]), {"type": "http"}, receive, send, "page")
        await confirmed[0]
        await streams.asked("page")  # later ones wait for nothing
        await asyncio.sleep(0)

    with start_blocking_portal() as portal:
        portal.call(cross)
    assert order == ["end", "read", "confirmed"]
