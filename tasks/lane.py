"""What has been said in one conversation so far, and what comes next in it?

A lane is rebuilt from the journal on every life by asking the same questions again: recorded answers are folded in
without any call, and the chained head proves that it is the same conversation.
"""

from collections import Counter
from dataclasses import dataclass

from governance.briefs import delegate_brief
from governance.conversation import (
    EMPTY_HEAD,
    Reply,
    ToolCall,
    ToolResult,
    assistant,
    chain,
    tool_results,
    user,
)
from governance.effects import Place, Stop
from governance.limits import stalled, stop_of, stop_of_summary
from governance.parts import Json, Part
from governance.raises import Heard
from governance.seats import Seat, subagent_seat
from tasks.job import Job
from tasks.step import Step


@dataclass(frozen=True)
class Said:
    """A conversation that came to its end: the last words, and the whole last answer."""

    text: str
    reply: Reply


class Lane:
    """One agent on one brief."""

    def __init__(
        self, job: Job, seat: Seat, *, name: str, round: int, brief: str, schema: type[Part] | None = None
    ) -> None:  # fmt: skip
        self.job, self.seat, self.name, self.round, self.schema = job, seat, name, round, schema
        self.step = 0
        self.reply: Reply | None = None
        self.last: Reply | None = None
        self.history: list[tuple[ToolCall, ToolResult]] = []
        self.delegated: dict[int, ToolResult | None] = {}
        self.heard_of = Heard()
        """Caps that this agent was told of."""
        self.telling: Json = {}
        """What it is told with the step at hand, to be journaled with that call."""
        self.messages: tuple[Json, ...] = ()
        self.head = EMPTY_HEAD
        self._add(user(brief))

    def place(self, ordinal: int) -> Place:
        """The place of an effect of the step at hand: 0 the model's, then the calls in the model's order."""
        return self.job.place(self.round, self.name, self.step, ordinal)

    @property
    def ask(self) -> Step:
        """The step that asks the model."""
        return Step(self.place(0), f"{self.seat.agent} thinks ({self.step + 1})")

    @property
    def acts(self) -> Step:
        """The step that makes the calls of the answer at hand."""
        tools = Counter(c.name.replace("__", ".", 1) for c in self.calls)
        named = [tool if n == 1 else f"{tool} ({n} times)" for tool, n in tools.items()]
        label = f"{self.seat.agent} uses {', '.join(named[:3])}{', …' if len(named) > 3 else ''}"
        return Step(self.place(len(self.calls) + 1), label)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """What the answer at hand wants done."""
        return self.reply.calls if self.reply else ()

    def heard(self, key: str) -> Reply:
        """Fold in the model's answer at `key`."""
        self.reply = Reply.from_json(self.job.recorded(key, self.head).result)
        self.last = self.reply
        self._add(assistant(self.reply))
        return self.reply

    @property
    def hears(self) -> bool:
        """Whether a word of ours may stand next: not behind an answer that only wants to be gone on with."""
        return self.messages[-1]["role"] == "user"

    def tell(self, told: Json) -> None:
        """Say `told` with the step at hand; part of the conversation, and on record with its call."""
        self.telling = {"told": told}
        self.heard_of = self.heard_of.and_now(told)
        self._add(user(told["text"]))

    def saw(self, results: tuple[ToolResult, ...]) -> None:
        """Fold in what the calls of the answer at hand came to, and go on to the next step."""
        pairs = tuple(zip(self.calls, results, strict=True))
        self.history.extend(pairs)
        self._add(tool_results(pairs))
        self._next()

    @property
    def paused(self) -> bool:
        """Whether the model paused by itself and only wants to be asked again."""
        return self.reply is not None and self.reply.stop == "pause_turn"

    def go_on(self) -> None:
        """Ask again with what was said so far."""
        self._next()

    def children(self) -> "dict[int, Lane]":
        """A child lane for each call that is a delegation, by ordinal; it knows only what the task says."""
        delegates = {d.name: d for d in self.seat.delegates}
        return {
            n: Lane(
                self.job,
                subagent_seat(self.job.pinned, delegates[call.name]),
                name=f"{self.name}-{self.step}-{n}-{call.name}",
                round=self.round,
                brief=delegate_brief(str(call.arguments.get("task", ""))),
            )
            for n, call in enumerate(self.calls, 1)
            if call.name in delegates
        }

    def compacted(self, key: str) -> Stop | None:
        """Replace what was said by the summary at `key`; the brief stays. A summary that is none is a stop."""
        summary = Reply.from_json(self.job.recorded(key, self.head).result)
        if stop := stop_of_summary(summary):
            return stop
        # The first block is the brief; an older summary behind it is covered by this one.
        brief = self.messages[0]["content"][0]
        self.messages, self.last = (), None
        # What it was told is not kept: it is told again.
        self.heard_of = Heard()
        self.head = chain(self.head, ({"compacted": summary.text},))
        self._add({"role": "user", "content": [brief, {"type": "text", "text": summary.text}]})
        self._next()
        return None

    @property
    def stop(self) -> Stop | None:
        """Why this conversation must end now, judged by what was said and done."""
        if self.reply and (stop := stop_of(self.reply)):
            return stop
        return stalled(self.history, self.job.loop.harness.stall_after)

    def _next(self) -> None:
        self.step += 1
        self.reply = None
        self.telling = {}
        self.delegated = {}

    def _add(self, message: Json) -> None:
        self.messages = (*self.messages, message)
        self.head = chain(self.head, (message,))
