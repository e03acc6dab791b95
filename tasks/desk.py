"""What does a maker do at its workspace, and how is every step of it kept?

The box is opened when the first new effect needs it, so a replay opens none. After every effect that can change
something the whole volume is saved to the blobs before the effect counts as done: another process on another
machine goes on from exactly there.
"""

import json
from contextlib import suppress

from drivers.crash import point
from drivers.home import home
from governance.conversation import ToolCall, ToolResult
from governance.effects import InDoubt, Place, Recorded, Refused, Settlement, Stop
from governance.errors import DriverError, Unavailable
from governance.parts import Json, canonical
from governance.ports import Box, BoxSpec, CommandResult, FileEntry, Manifest
from governance.prices import BoxTime
from governance.raises import minutes_of
from tasks.gate import Proposal, refuse, result_of, waits_for
from tasks.job import Job
from tasks.lane import Lane
from tasks.step import Waiting
from tasks.world import now_ms

COMMAND_TIMEOUT_S = 300.0
READ_BYTES = 200_000
EDIT_BYTES = 2_000_000
OUTPUT_BYTES = 60_000
CHANGES = ("workspace__write", "workspace__edit", "workspace__run")


class Desk:
    """The one open box of this life, and the state it stands in."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._box: Box | None = None
        self._left: list[Box] = []
        self.state = job.item.state if job.item else None

    async def box(self) -> Box:
        """The open box, made like the last saved state, or like the base when there is none."""
        if self._box is None:
            await self.close()
            spec = await box_spec(self._job, "maker")
            point("before-box")
            self._box = await (await self._job.world.sandbox()).open(spec)
            await self._box.load(await self._files())
            point("after-box")
        return self._box

    async def save(self) -> str:
        """Save the volume; the digest of its manifest is the state."""
        point("before-save")
        manifest = await (await self.box()).save()
        spelled = {path: [entry.mode, entry.blob] for path, entry in manifest.items()}
        self.state = await self._job.world.blobs.put(canonical(spelled).encode())
        point("after-save")
        return self.state

    async def close(self) -> None:
        """Put the box away; its state is in the blobs. One whose engine is gone is tried again, then left to its lease."""
        if self._box is not None:
            self._left.append(self._box)
            self._box = None
        for box in tuple(self._left):
            with suppress(DriverError):
                await box.close()
                self._left.remove(box)

    async def _files(self) -> Manifest:
        if self.state:
            return await manifest_at(self._job, self.state)
        return await base_files(self._job)


async def manifest_at(job: Job, state: str) -> Manifest:
    """The files of a saved state."""
    spelled = json.loads(await job.world.blobs.get(state))
    return {path: FileEntry(mode, blob) for path, (mode, blob) in spelled.items()}


async def base_files(job: Job) -> Manifest:
    """The files of the commit the item started from."""
    repository, _ = await job.repository()
    return await repository.files(job.base)


async def box_spec(job: Job, use: str) -> BoxSpec:
    """A box for one use in this job, with the workspace's image prepared (once per digest) and its limits."""
    workspace = job.loop.workspace
    assert workspace is not None
    assert job.pinned.image is not None
    image = await (await job.world.sandbox()).prepare(
        job.pinned.image,
        workspace.setup,
        await base_files(job),
        timeout_s=workspace.setup_minutes * 60,
    )
    awake_ms = next(b.cap for b in await job.caps() if b.budget == minutes_of(job.owner))
    return BoxSpec(
        image=image,
        labels={
            "looprail.home": str(home()),
            "looprail.loop": job.loop.name,
            "looprail.item": job.owner,
            "looprail.use": use,
        },
        lease_until=(now_ms() + awake_ms) // 1000 + 600,
        max_mb=workspace.max_mb,
        memory_mb=workspace.memory_mb,
    )


def box_time(job: Job, limit_s: float) -> BoxTime:
    """How big this job's boxes are, for an effect that may take so long."""
    workspace = job.loop.workspace
    assert workspace is not None
    return BoxTime(BoxSpec.cpus, workspace.memory_mb, int(limit_s * 1000))


async def use_workspace(lane: Lane, place: Place, call: ToolCall) -> ToolResult | Waiting | Stop:
    """One call of a workspace tool, through the edge and on the ledger like any other."""
    job = lane.job
    if place.key in job.results:
        return result_of(job, place.key, lane.head)
    desk = job.desk
    if not lane.seat.works or desk is None:
        return await _refuse(lane, place, call)
    intent = job.intent(
        place,
        "sandbox",
        call.name.replace("__", "."),
        by=lane.seat.principal(job.loop),
        rule="a maker has its workspace",
        args=call.arguments,
        repeatable=True,
        timeout_s=COMMAND_TIMEOUT_S,
        head=lane.head,
    )

    async def effect() -> Settlement:
        started = now_ms()
        try:
            result = await _do(await desk.box(), call)
            state = await desk.save() if call.name in CHANGES else None
        except Unavailable:
            # Half done, or gone with its engine: the next try begins at the last saved state, in another box.
            await desk.close()
            raise
        return Settlement(
            now=now_ms(),
            result=vars(result),
            cost=0,
            cost_status="free",
            price={},
            head=lane.head,
            state=state,
            attributes={"loop.sandbox.seconds": (now_ms() - started) / 1000},
            error="tool_error" if result.is_error else None,
        )

    outcome = await job.world.edge.local(intent, effect, box=box_time(job, COMMAND_TIMEOUT_S))
    match outcome:
        case Refused():
            return job.patience.refused(outcome)
        case InDoubt(card):
            return waits_for(card)
        case Recorded():
            job.results[place.key] = outcome
            return result_of(job, place.key, lane.head)


async def _refuse(lane: Lane, place: Place, call: ToolCall) -> ToolResult:
    seat = lane.seat
    proposal = Proposal(
        place=place,
        by=seat.principal(lane.job.loop),
        grants=seat.grants,
        connector="workspace",
        tool=call.name.removeprefix("workspace__"),
        arguments=call.arguments,
        head=lane.head,
    )
    return await refuse(lane.job, proposal, "role", f"{seat.agent!r} has no workspace")


async def _do(box: Box, call: ToolCall) -> ToolResult:
    try:
        return await _tool(box, call.name.removeprefix("workspace__"), call.arguments)
    except (OSError, ValueError, KeyError) as error:
        return ToolResult(f"{type(error).__name__}: {error}", is_error=True)


async def _tool(box: Box, tool: str, arguments: Json) -> ToolResult:
    match tool:
        case "run":
            return shown(
                await box.run(
                    str(arguments["command"]), timeout_s=COMMAND_TIMEOUT_S, max_bytes=OUTPUT_BYTES
                )
            )
        case "list":
            return shown(
                await box.run(
                    "find . -path ./.git -prune -o -type f -print | sort | head -2000",
                    timeout_s=30,
                    max_bytes=OUTPUT_BYTES,
                )
            )
        case "read":
            content = await box.read(str(arguments["path"]), max_bytes=READ_BYTES)
            return ToolResult(content.decode("utf-8", "replace"))
        case "write":
            await box.write(str(arguments["path"]), str(arguments["content"]).encode())
            return ToolResult(f"wrote {arguments['path']}")
        case "edit":
            return await _edit(box, arguments)
        case _:
            return ToolResult(f"there is no workspace tool {tool!r}", is_error=True)


async def _edit(box: Box, arguments: Json) -> ToolResult:
    path, old, new = (str(arguments[k]) for k in ("path", "old", "new"))
    content = await box.read(path, max_bytes=EDIT_BYTES)
    if len(content) == EDIT_BYTES:
        return ToolResult(f"{path} is too large to edit; use workspace__run", is_error=True)
    text = content.decode()
    count = text.count(old)
    if not old or count != 1:
        return ToolResult(f"`old` stands {count} times in {path}, expected once", is_error=True)
    await box.write(path, text.replace(old, new).encode())
    return ToolResult(f"edited {path}")


def shown(result: CommandResult) -> ToolResult:
    """A command's result as a model reads it."""
    ended = (
        f"stopped by the {result.stopped} limit"
        if result.stopped
        else f"exit code {result.exit_code}"
    )
    cut = "\n(output cut)" if result.truncated else ""
    return ToolResult(
        f"{result.output.rstrip()}{cut}\n({ended}, {result.seconds:.1f} s)",
        is_error=result.exit_code != 0,
        truncated=result.truncated,
    )
