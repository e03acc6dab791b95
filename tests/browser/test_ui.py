"""Can a person run a loop with a browser alone: fire it, read what it wants to do, and say yes or no?"""

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, async_playwright, expect

from demo.world import DemoWorld
from drivers.store import store_at
from governance.parts import usd
from governance.records import Card
from tests.browser.person import HEIGHT, PATIENCE_MS, WIDTH, Person, only_loopback

pytestmark = [
    pytest.mark.browser, pytest.mark.prefect, pytest.mark.docker, pytest.mark.timeout(580),
]  # fmt: skip

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
LOOP = "night-fix"
MERGE = "github.merge_pull_request"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoWorld]:
    with DemoWorld(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
async def person(world: DemoWorld, tmp_path: Path) -> AsyncIterator[Person]:
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = await browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
        context.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        await context.route("**/*", only_loopback)
        person = Person(await context.new_page(), world, tmp_path)
        await person.log_in()
        yield person
        await browser.close()


async def test_a_merge_that_a_person_rejects_in_the_browser_does_not_happen(
    world: DemoWorld, person: Person
) -> None:
    before = main_branch(world)
    await person.trigger(LOOP)
    await person.open_waiting_run(LOOP)
    await person.open_card()
    card = await open_card_of(world)

    await person.fill(MERGE, None, "Ines Petrov", "")
    await person.submit(f"'card_{card.card}' is a required property")
    await expect(person.dialog).to_be_visible()

    await person.fill(MERGE, "reject", "Ines Petrov", "Not before the release")
    await person.submit()
    await expect(person.state("Rejected")).to_be_visible(timeout=PATIENCE_MS)
    await person.page.get_by_role("tab", name="Details").click()
    said = person.main.get_by_text("rejected by claimed: Ines Petrov: Not before the release")
    await expect(said).to_be_visible()
    await person.shot("rejected", height=970)

    assert main_branch(world) == before
    await expect(await pull_request(world, person.page, card)).to_contain_text("open")


async def test_a_red_build_is_mended_and_merged_by_a_person_with_a_browser_alone(
    world: DemoWorld, person: Person
) -> None:
    await person.trigger(LOOP)
    await person.open_waiting_run(LOOP)
    await person.open_card()
    await person.shot("card")
    card = await open_card_of(world)
    await shows_all_of(person, card)

    await person.fill(MERGE, "approve", "Noor Haddad", "Read the diff, the rounding is right")
    await person.shot("form")
    await person.submit()
    await expect(person.state("Done")).to_be_visible(timeout=PATIENCE_MS)
    await person.page.get_by_role("tab", name="Task Runs").click()
    await expect(person.main).to_contain_text("close: done")
    await person.shot("completed")

    await expect(await pull_request(world, person.page, card)).to_contain_text("merged")
    runs = person.page.get_by_role("row").filter(has_text=main_branch(world)[:10])
    await expect(runs.filter(has_text="green")).to_be_visible()
    await person.shot("forge")


async def shows_all_of(person: Person, card: Card) -> None:
    """The dialog says everything the answer is bound to, and hides none of it beyond an edge."""
    await expect(person.dialog.get_by_role("heading", name=MERGE)).to_be_visible()
    assert await person.arguments() == card.arguments
    assert await person.block("diff") == (card.diff or "").rstrip("\n")
    assert await person.wider_than_shown() == [0, 0]
    for proof in card.evidence:
        row = person.dialog.get_by_role("row").filter(has_text=f"{proof.kind}: {proof.verdict}")
        await expect(row).to_contain_text(f"by {proof.by} about {proof.tree[:12]}")
        await expect(row).to_contain_text(proof.detail)
    assert {e.kind for e in card.evidence} == {"base", "verified", "checked"}
    for words in (card.card, card.why, card.tree or "", card.reach, f"{usd(card.cost):.6f} USD"):
        await expect(person.dialog.get_by_role("table")).to_contain_text(words)


async def open_card_of(world: DemoWorld) -> Card:
    """The one card that waits, as the store has it."""
    (card,) = await store_at(world.store_url, world.blobs).cards()
    return card


async def pull_request(world: DemoWorld, page: Page, card: Card) -> Locator:
    """The forge's row about the pull request the card would merge."""
    await page.goto(world.forge_url)
    return page.get_by_role("row").filter(has_text=f"looprail/{card.loop}/{card.item}")


def main_branch(world: DemoWorld) -> str:
    """The commit at the head of main."""
    command = ("git", "--git-dir", str(world.repository), "rev-parse", "main")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
