"""What does a person do at Prefect's UI to answer a card? Clicks and keys only, by what they can read."""

import json
import os
from pathlib import Path

from playwright.async_api import Locator, Page, Route, expect
from playwright.async_api import TimeoutError as PlaywrightTimeout

from demo.world import DemoWorld
from governance.approvals import MORE

PATIENCE_MS = 240_000
"""Until a red build is mended and waits, on a busy machine."""

TRIES = 6
A_CLICK_MS = 10_000
WIDTH, HEIGHT = 1400, 900

DOCS = Path(__file__).parents[2] / "docs" / "images"


class Person:
    """Somebody at a browser with one tab; `shots` is where their screenshots go."""

    def __init__(self, page: Page, world: DemoWorld, scratch: Path) -> None:
        self.page, self.world = page, world
        self.main, self.dialog = page.get_by_role("main"), page.get_by_role("dialog")
        self._shots = DOCS if os.environ.get("SCREENSHOTS") == "1" else scratch

    async def log_in(self) -> None:
        """The server asks for its password once."""
        await self.page.goto(f"{self.world.ui_url}/")
        await self.page.get_by_placeholder("admin:pass").fill(self.world.keys.prefect)
        await self.page.get_by_role("button", name="Login").click()
        await expect(self.page.get_by_role("button", name="Logout")).to_be_visible()

    async def trigger(self, loop: str) -> None:
        """Deployments, the loop's heartbeat, Quick Run, Run."""
        await self.page.get_by_role("link", name="Deployments").click()
        row = self.page.get_by_role("row").filter(has_text=loop).filter(has_text="heartbeat")
        await expect(row).to_contain_text("Ready")
        await self.shot("deployments")
        await self._choose(row.get_by_role("button", name="Open menu"), "Quick Run")
        await self._press("Run", "Flow run created")

    async def open_waiting_run(self, loop: str) -> None:
        """Runs, those that are suspended, and the first of this loop as soon as there is one."""
        await self.page.goto(f"{self.world.ui_url}/runs?state=Suspended")
        run = self.main.get_by_role("link", name=f"{loop}: ").first
        await expect(run).to_be_visible(timeout=PATIENCE_MS)
        await run.click()
        await expect(self.state("Suspended")).to_be_visible()

    async def open_card(self) -> None:
        """The run's menu, Resume: the form with the card above its fields."""
        await self._choose(self.page.get_by_role("button", name="Open menu").first, "Resume")
        await expect(self.dialog).to_contain_text("Exactly these arguments will be sent")
        await self.dialog.get_by_role("heading", level=3).first.evaluate("h => h.scrollIntoView()")

    async def fill(self, tool: str, answer: str | None, name: str, reason: str) -> None:
        """Choose an answer (or leave it open), and say who one is and why."""
        if answer:
            await self.dialog.get_by_role("button", name=f"Select {tool}").click()
            await self.page.get_by_role("option", name=answer, exact=True).click()
        await self.dialog.get_by_role("textbox", name="Your name").fill(name)
        await self.dialog.get_by_role("textbox", name="Reason").fill(reason)

    async def submit(self, told: str = "Flow run resumed") -> None:
        """The dialog's own Resume; what the person is told then."""
        await self._press("Resume", told)

    async def _choose(self, menu: Locator, item: str) -> None:
        """Open it and click, again where it went: a list that is fetched anew closes the menu of a row."""
        for left in reversed(range(TRIES)):
            try:
                await menu.click()
                await self.page.get_by_role("menuitem", name=item).click(timeout=A_CLICK_MS)
                return
            except PlaywrightTimeout:
                if not left:
                    raise
                await self.page.keyboard.press("Escape")

    async def _press(self, button: str, told: str) -> None:
        """Press it until the UI says so: Prefect on a busy SQLite answers 503, says it failed, and did nothing."""
        said = self.page.get_by_role("region", name="Notifications").get_by_role("listitem")
        last = ""
        for _ in range(TRIES):
            await expect(said).to_have_count(0)
            await self.dialog.get_by_role("button", name=button, exact=True).click()
            await expect(said.first).to_be_visible()
            last = await said.first.inner_text()
            if told in last:
                return
        raise AssertionError(f"{button!r} was pressed {TRIES} times; the UI says {last!r}")

    def state(self, name: str) -> Locator:
        """The badge with the state of the run whose page is open."""
        return self.main.get_by_text(name, exact=True).first

    async def block(self, language: str) -> str:
        """A fenced block of the card, with the lines whole again that the form breaks."""
        shown = await self.dialog.locator(f"code.language-{language}").inner_text()
        return shown.replace(f"\n{MORE}", "").rstrip("\n")

    async def arguments(self) -> object:
        """The arguments the card shows, as values."""
        return json.loads(await self.block("json"))

    async def wider_than_shown(self) -> list[int]:
        """Pixels that each block of the card hides beyond its right edge."""
        return await self.dialog.locator("pre").evaluate_all(
            "all => all.map(e => e.scrollWidth - e.clientWidth)"
        )

    async def shot(self, name: str, height: int = HEIGHT) -> None:
        """What the tab shows now, or more of the page; into `docs/images/` where SCREENSHOTS=1 asks for it."""
        await self.page.set_viewport_size({"width": WIDTH, "height": height})
        await self.page.screenshot(path=self._shots / f"{name}.png", animations="disabled")
        await self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


async def only_loopback(route: Route) -> None:
    """A page of ours needs nothing from anywhere else, and gets nothing."""
    if route.request.url.startswith("http://127.0.0.1:"):
        await route.continue_()
    else:
        await route.abort()
