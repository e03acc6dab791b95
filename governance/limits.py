"""Is this conversation getting anywhere?

Steps, tokens, cost and minutes are judged where a new effect is admitted (the store's T4); what is judged here
needs only what was said and done.
"""

from collections.abc import Sequence

from governance.charges import Amounts, Charge
from governance.conversation import Reply, ToolCall, ToolResult
from governance.definition import Loop
from governance.effects import Place, Stop
from governance.parts import Json, canonical, pico
from governance.records import Budget


def stop_of(reply: Reply) -> Stop | None:
    """Why this answer ends its conversation at once, or None when it can go on."""
    if reply.stop == "refusal":
        return Stop("refusal", f"model {reply.model!r} refused to go on")
    if reply.stop in ("max_tokens", "model_context_window_exceeded"):
        return Stop(
            "truncated",
            f"the answer was cut off ({reply.stop}) after {reply.usage.output_tokens:,} tokens. "
            "Raise harness.max_output_tokens or ask for less.",
        )
    if reply.stop not in ("end_turn", "stop_sequence", "tool_use", "pause_turn"):
        return Stop("malformed", f"the model stopped for {reply.stop!r}, which we do not know")
    if reply.stop == "tool_use" and not reply.calls:
        return Stop("malformed", "the model stopped to use tools, but asked for none")
    return None


def stop_of_summary(reply: Reply) -> Stop | None:
    """Why a conversation cannot go on from this summary of itself: whatever it does not say is forgotten."""
    if stop := stop_of(reply):
        return stop
    if not reply.text.strip():
        return Stop("malformed", "the context was full, and the model's summary of it says nothing")
    return None


def stalled(history: Sequence[tuple[ToolCall, ToolResult]], stall_after: int) -> Stop | None:
    """A stop when the last `stall_after` calls were the same call with the same answer."""
    if len(history) < stall_after or stall_after < 2:
        return None
    tail = {
        (call.name, canonical(call.arguments), result.text)
        for call, result in history[-stall_after:]
    }
    if len(tail) > 1:
        return None
    call = history[-1][0]
    return Stop(
        "stalled", f"{call.name!r} was called {stall_after} times in a row with the same answer"
    )


def no_progress(proofs: Sequence[Json], stall_after: int) -> Stop | None:
    """A stop when rounds repeat: the same tree twice in a row, or the same verifier failure too often."""
    if len(proofs) >= 2 and proofs[-1]["tree"] == proofs[-2]["tree"]:
        return Stop("stalled", "the maker came back with the same tree as the round before")
    prints = [p["fingerprint"] for p in proofs[-stall_after:] if not p["passed"]]
    if len(prints) >= stall_after and len(set(prints)) == 1:
        return Stop("stalled", f"the verifier failed the same way {stall_after} rounds in a row")
    return None


def run_budgets(loop: Loop, run: str) -> tuple[Budget, ...]:
    """The caps of one run, as budgets of the principal `run`; the heartbeat's own steps are capped as an item's."""
    h = loop.harness
    caps = (
        ("usd", pico(h.max_cost_usd_per_run) if h.max_cost_usd_per_run else None),
        ("tokens", h.max_tokens_per_run),
        ("steps", h.max_steps_per_run),
    )
    rows = tuple(Budget(f"run:{run}:{unit}", run, cap) for unit, cap in caps if cap is not None)
    return (*rows, Budget(f"item:{run}:steps", run, h.max_steps))


def item_budgets(loop: Loop, run: str) -> tuple[Budget, ...]:
    """The caps of each item, `{item}` still to be filled in."""
    return (Budget("item:{item}:steps", run, loop.harness.max_steps),)


def own_charges(place: Place, most: Amounts) -> tuple[Charge, ...]:
    """What one model call may take from the caps of its item and its run."""
    run = place.run
    return (
        Charge(f"item:{place.owner}:steps", run, most.steps),
        Charge(f"run:{run}:steps", run, most.steps),
        Charge(f"run:{run}:tokens", run, most.tokens),
        Charge(f"run:{run}:usd", run, most.usd),
    )
