"""How is Anthropic's Usage and Cost Admin API asked, so that every outcome is one of ours?

Asking changes nothing there and is free: whatever fails may be asked again. The key is an Admin key, which no model
call is made with.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from drivers.usage_report.wire import At, Cost, CostPage, UsagePage, add, places_of, rounded
from governance.bill import Billed, Report, Stretch
from governance.errors import DriverError, Rejected, Unavailable
from governance.guardrails import Screen
from governance.parts import Json

if TYPE_CHECKING:
    import httpx2

PAGE_DAYS = 31
"""Daily buckets that one page holds at most."""
MOST_PAGES = 100
TIMEOUT_S = 60.0
_SUBJECT = "the usage report"
P = TypeVar("P", UsagePage, CostPage)
Params = list[tuple[str, str]]


class AdminApi:
    """One organisation's reports. It cannot be pickled: the key would be."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        workspaces: Sequence[str] = (),
        api_keys: Sequence[str] = (),
    ) -> None:
        """Take the URL above `/v1`, an Admin key, and what of the organisation's use is ours; all by default."""
        self._base_url, self._key = base_url.rstrip("/"), key
        self._workspaces, self._api_keys = tuple(workspaces), tuple(api_keys)

    def __repr__(self) -> str:
        return f"AdminApi({self._base_url!r})"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("it holds a key and is not pickled; make it where it is used")

    async def report(self, days: Stretch, *, now: int) -> Report:
        """What was billed on these UTC days, by model, as it is told now.

        Amounts come with it unless only some API keys are ours: the cost report does not tell keys apart.

        Raises:
            Unavailable: No answer now; ask again.
            Rejected: The key is refused, or what came back is not the report we know.
        """
        import httpx2

        found: dict[At, Billed] = {}
        async with httpx2.AsyncClient(
            base_url=self._base_url, timeout=TIMEOUT_S, follow_redirects=False,
            headers={"x-api-key": self._key, "anthropic-version": "2023-06-01"},
        ) as http:  # fmt: skip
            for usage in await self._pages(http, "usage_report/messages", days, UsagePage):
                for bucket in usage.data:
                    for line in bucket.results:
                        add(found, bucket.day, line.line)
            costs = [] if self._api_keys else await self._pages(http, "cost_report", days, CostPage)
        lines = [(b.day, line) for page in costs for b in page.data for line in b.results]
        ours = [(day, line) for day, line in lines if self._is_ours(line)]
        for day, line in ours:
            add(found, day, line.line)
        places = 2 + max((places_of(line.amount) for _, line in ours), default=0)
        amounts = None if self._api_keys else days
        source = f"Admin API at {self._base_url}"
        return Report(source, now, rounded(found, places), days, amounts)

    def _is_ours(self, line: Cost) -> bool:
        return not self._workspaces or line.workspace_id in self._workspaces

    async def _pages(
        self, http: "httpx2.AsyncClient", path: str, days: Stretch, page: type[P]
    ) -> list[P]:
        asked = self._asked(path, days)
        pages: list[P] = []
        at: str | None = None
        while len(pages) < MOST_PAGES:
            body = await self._get(http, path, [*asked, *([("page", at)] if at else [])])
            try:
                pages.append(page.model_validate(body))
            except ValidationError as error:
                fields = ", ".join(repr(".".join(map(str, e["loc"]))) for e in error.errors()[:5])
                raise Rejected(_SUBJECT, f"{path} is not what we know, in {fields}") from None
            at = pages[-1].next_page
            if not pages[-1].has_more:
                self._check(path, days, pages)
                return pages
            if at is None:
                break
        raise Rejected(_SUBJECT, f"{path} says there is more, and not where")

    def _check(self, path: str, days: Stretch, pages: Sequence[UsagePage | CostPage]) -> None:
        """Each bucket is a whole day we asked for, and comes once: a gap counted as zero would free what was billed."""
        buckets = [bucket for page in pages for bucket in page.data]
        whole = all(b.ending_at - b.starting_at == timedelta(days=1) for b in buckets)
        found = [bucket.day for bucket in buckets]
        wanted = [days[0] + timedelta(n) for n in range((days[1] - days[0]).days + 1)]
        if not whole or found != wanted:
            raise Rejected(
                _SUBJECT,
                f"{path} tells {len(found):,} days of {len(wanted):,} from {days[0]} to {days[1]}, each once and whole",
            )

    def _asked(self, path: str, days: Stretch) -> Params:
        asked = [
            ("starting_at", f"{days[0]}T00:00:00Z"),
            ("ending_at", f"{days[1] + timedelta(days=1)}T00:00:00Z"),
            ("bucket_width", "1d"),
            ("limit", str(PAGE_DAYS)),
        ]
        if path == "cost_report":
            groups = ["description", *(["workspace_id"] if self._workspaces else [])]
            return [*asked, *(("group_by[]", group) for group in groups)]
        only = [("workspace_ids[]", w) for w in self._workspaces]
        return [
            *asked,
            ("group_by[]", "model"),
            *only,
            *(("api_key_ids[]", k) for k in self._api_keys),
        ]

    async def _get(self, http: "httpx2.AsyncClient", path: str, params: Params) -> object:
        import httpx2

        try:
            answer = await http.get(f"/v1/organizations/{path}", params=tuple(params))
            body = answer.json()
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            failed = Unavailable(_SUBJECT, f"no whole answer from {path} ({type(error).__name__})")
        else:
            if answer.status_code == 200:
                return body
            failed = self._failure(path, answer.status_code, body)
        # Raised out here so that it is not chained: the client's error holds the request, and with it the key.
        raise failed

    def _failure(self, path: str, status: int, body: object) -> DriverError:
        told: Json = body.get("error") or {} if isinstance(body, dict) else {}
        said = Screen().with_secret(self._key).text(str(told.get("message", "no message")))[:300]
        if status == 429 or status >= 500:
            return Unavailable(_SUBJECT, f"{path}: {status}: {said}")
        way_out = "" if status not in (401, 403) else (
            ". It takes an Admin key (sk-ant-admin…) of the organisation: `loops connect usage-report`"
        )  # fmt: skip
        return Rejected(_SUBJECT, f"{path}: {status}: {said}{way_out}")
