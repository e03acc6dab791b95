"""Is a conversation rebuilt from the journal the same one, and never another?"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from governance.conversation import EMPTY_HEAD, Reply, ToolResult, Usage, assistant, chain, user
from governance.definition import Loop, Subagent
from governance.effects import Recorded, Stop
from governance.errors import Diverged
from governance.parts import Json
from governance.pinned import Pinned
from governance.raises import Heard
from governance.seats import Seat, lead_seat
from tasks.act import join
from tasks.job import Job
from tasks.lane import Lane
from tasks.wrapup import tell

LOOP = Loop(
    name="triage", model="m", instructions="a@v1", subagents=(Subagent(name="helper"), Subagent(name="other")),
)  # fmt: skip
PINNED = Pinned(loop=LOOP, instructions={"a@v1": "Look."}, skills={}, models={}, image=None)


def lane() -> Lane:
    job = Job(cast(Any, None), PINNED, run="r1", owner="i1")
    seat: Seat = lead_seat(PINNED, heartbeat=False)
    return Lane(job, seat, name="lead", round=0, brief="do it")


def reply(text: str = "", *calls: tuple[str, Json], stop: str | None = None) -> Reply:
    blocks: list[Json] = [{"type": "text", "text": text}] if text else []
    blocks += [
        {"type": "tool_use", "id": f"t{n}", "name": name, "input": given}
        for n, (name, given) in enumerate(calls)
    ]
    return Reply(
        tuple(blocks), stop or ("tool_use" if calls else "end_turn"), Usage(9, 1), "m", "msg"
    )


def journaled(at: Lane, said: Reply, head: str | None = None) -> str:
    """Put an answer on record where the lane asks next."""
    key = at.ask.key
    at.job.results[key] = Recorded(
        said.as_json(), (), None, at.head if head is None else head, {}, "model"
    )
    return key


def told(at: Lane, *said: Reply) -> Lane:
    for one in said:
        at.heard(journaled(at, one))
        if at.calls:
            at.saw(tuple(ToolResult(f"did {c.name}") for c in at.calls))
    return at


STORY = (reply("a", ("x", {"n": 1}), ("y", {})), reply("b", ("x", {"n": 2})), reply("done"))


def test_the_same_answers_make_the_same_conversation() -> None:
    one, other = told(lane(), *STORY), told(lane(), *STORY)
    assert one.messages == other.messages
    assert one.head == other.head
    assert one.step == 2
    assert [m["role"] for m in one.messages] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
        "assistant",
    ]


def test_its_head_is_chained_over_every_message() -> None:
    at, head = told(lane(), *STORY), EMPTY_HEAD
    for message in at.messages:
        head = chain(head, (message,))
    assert at.head == head


def test_an_answer_that_was_given_to_other_words_is_not_taken() -> None:
    at = told(lane(), STORY[0])
    key = journaled(at, reply("b"), head=chain(EMPTY_HEAD, (user("something else"),)))
    with pytest.raises(Diverged, match=key):
        at.heard(key)


def test_keys_name_places_and_never_a_providers_ids() -> None:
    at = lane()
    assert at.ask.key == "i1-0-lead-0-0"
    at.heard(journaled(at, STORY[0]))
    assert at.acts.key == "i1-0-lead-0-3"
    assert [at.place(n).key for n in (1, 2)] == ["i1-0-lead-0-1", "i1-0-lead-0-2"]
    assert at.acts.label == "lead uses x, y"


def test_many_calls_are_named_by_the_first_three() -> None:
    at = lane()
    at.heard(journaled(at, reply("", *((f"t{n}", {}) for n in range(5)))))
    assert at.acts.label == "lead uses t0, t1, t2, …"


def test_a_tool_that_is_called_twice_is_named_once_and_as_people_write_it() -> None:
    at = lane()
    calls = ("workspace__read", "workspace__edit", "workspace__read", "helper")
    at.heard(journaled(at, reply("", *((name, {}) for name in calls))))
    assert at.acts.label == "lead uses workspace.read (2 times), workspace.edit, helper"
    assert at.acts.key == "i1-0-lead-0-5"


def test_a_delegate_knows_its_task_and_nothing_of_its_lead() -> None:
    at = lane()
    at.heard(
        journaled(at, reply("secret plan", ("helper", {"task": "look"}), ("x", {}), ("other", {})))
    )
    children = at.children()
    assert list(children) == [1, 3]
    assert children[1].messages == (user("look"),)
    assert children[1].head == chain(EMPTY_HEAD, (user("look"),))
    assert children[1].name == "lead-0-1-helper"
    assert children[3].messages == (user(""),)
    assert children[1].seat.agent == "helper"


def test_a_pause_is_asked_again_with_what_was_said() -> None:
    at = lane()
    at.heard(journaled(at, reply("thinking", stop="pause_turn")))
    assert at.paused
    at.go_on()
    assert (at.step, at.reply, len(at.messages)) == (1, None, 2)
    assert not at.paused


def compact(at: Lane, text: str) -> Stop | None:
    return at.compacted(journaled(at, reply(text)))


def test_a_summary_replaces_what_was_said_but_never_the_brief() -> None:
    at = told(lane(), *STORY[:2])
    before = at.head
    assert compact(at, "I did x twice") is None
    assert at.messages == (
        {"role": "user", "content": [{"type": "text", "text": "do it"}, {"type": "text", "text": "I did x twice"}]},
    )  # fmt: skip
    assert at.head == chain(chain(before, ({"compacted": "I did x twice"},)), at.messages)
    assert at.last is None


def test_a_second_summary_replaces_the_first() -> None:
    at = told(lane(), STORY[0])
    compact(at, "one")
    told(at, STORY[1])
    compact(at, "two")
    assert [b["text"] for b in at.messages[0]["content"]] == ["do it", "two"]
    other = told(lane(), STORY[0])
    compact(other, "uno")
    told(other, STORY[1])
    compact(other, "two")
    assert at.messages == other.messages
    assert at.head != other.head, "the same words by another way are another conversation"


@pytest.mark.parametrize(
    "said",
    [
        reply(" "),
        reply("", ("x", {})),
        reply("half", stop="max_tokens"),
        reply("no", stop="refusal"),
    ],
)
def test_a_summary_that_is_none_changes_nothing_and_is_a_stop(said: Reply) -> None:
    at = told(lane(), *STORY[:2])
    before = (at.messages, at.head, at.step)
    assert isinstance(at.compacted(journaled(at, said)), Stop)
    assert (at.messages, at.head, at.step) == before


SAME: tuple[Callable[[int], Reply], ...] = (
    lambda n: reply("", ("x", {"n": 1})),
    lambda n: reply(f"{n}", ("x", {"n": 1})),
)


@pytest.mark.parametrize("turn", SAME)
def test_doing_the_same_over_and_over_stops_it_whatever_it_says(
    turn: Callable[[int], Reply],
) -> None:
    at = lane()
    for n in range(LOOP.harness.stall_after):
        assert at.stop is None
        told(at, turn(n))
    assert at.stop is not None
    assert at.stop.reason == "stalled"


def test_what_goes_back_to_the_model_is_what_it_said_itself() -> None:
    at, said = lane(), reply("a", ("x", {"n": 1}))
    at.heard(journaled(at, said))
    assert at.messages[-1] == assistant(said)


TOLD: Json = {"text": "2 of 10 steps are left.", "near": {"item:i1:steps": 10}, "raised": {}}


def asked(at: Lane, said: Reply) -> str:
    """Put an answer on record, with what was told with its call."""
    key = at.ask.key
    at.job.results[key] = Recorded(said.as_json(), (), None, at.head, at.telling, "model")
    return key


async def test_what_it_was_told_with_a_call_it_is_told_again_whatever_the_caps_are_now() -> None:
    """The job has no store: whoever asked it what is left would fail."""
    at = told(lane(), STORY[0])
    at.tell(TOLD)
    first, second = asked(at, STORY[1]), at.messages
    at.heard(first)

    again = Lane(at.job, at.seat, name="lead", round=0, brief="do it")
    await tell(again)
    told(again, STORY[0])
    await tell(again)
    assert again.messages == second
    assert again.heard_of == Heard({"item:i1:steps": 10})
    again.heard(first)
    assert again.head == at.head


async def test_a_life_that_died_in_that_call_is_followed_by_one_that_says_the_same() -> None:
    at = told(lane(), STORY[0])
    at.job.asked = {at.ask.key: {"told": TOLD}}
    await tell(at)
    assert at.messages[-1] == user(TOLD["text"])
    assert at.telling == {"told": TOLD}


async def test_a_call_that_was_told_nothing_is_told_nothing_again() -> None:
    at = lane()
    journaled(at, STORY[0])
    await tell(at)
    assert (at.telling, len(at.messages)) == ({}, 1)


def test_what_it_was_told_goes_with_its_context_and_may_be_said_again() -> None:
    at = told(lane(), *STORY[:2])
    at.tell(TOLD)
    asked(at, reply("short"))
    assert at.compacted(at.ask.key) is None
    assert (at.heard_of, at.telling) == (Heard(), {})


def test_no_word_of_ours_stands_behind_an_answer_that_only_paused() -> None:
    at = lane()
    assert at.hears
    at.heard(journaled(at, reply("thinking", stop="pause_turn")))
    at.go_on()
    assert not at.hears


async def test_nothing_is_left_running_when_one_of_several_fails() -> None:
    """A lane that diverges while another works: who suspends then must not leave that one behind."""
    ended: list[str] = []

    async def works() -> str:
        await asyncio.sleep(0.05)
        ended.append("works")
        return "done"

    async def diverges() -> str:
        raise Diverged("i1-0-lead-0-0", "one", "another")

    with pytest.raises(Diverged):
        await join([works(), diverges()])
    assert ended == ["works"]
    assert await join([works()]) == ["done"]
