"""What did this provider charge?

Its own price list and its own arithmetic, in whole pico-USD: the oracle our ledger is compared with.
"""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from demo.model.prefix_cache import Tokens
from demo.model.view import Json

# pico-USD per token: input, output, cache read, cache write 5m, cache write 1h. One USD per million tokens is a
# million pico-USD per token.
PRICE_LIST: dict[str, tuple[int, int, int, int, int]] = {
    "claude-sonnet-4-6": (3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000),
    "claude-sonnet-5-5": (2_000_000, 10_000_000, 100_000, 2_500_000, 4_000_000),
    "claude-opus-4-8": (5_000_000, 25_000_000, 500_000, 6_250_000, 10_000_000),
    "claude-opus-5-5": (4_000_000, 20_000_000, 200_000, 5_000_000, 8_000_000),
    "claude-haiku-4-5": (1_000_000, 5_000_000, 100_000, 1_250_000, 2_000_000),
}


@dataclass
class Account:
    """What one model was used for. `answered` calls got a whole answer; the others were billed all the same."""

    calls: int = 0
    answered: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    cost_pico_usd: int = 0


@dataclass(frozen=True)
class Call:
    """One call as it is billed, on the UTC day on which it was charged."""

    day: date
    model: str
    tokens: Tokens
    output: int
    cost_pico_usd: int


@dataclass
class Bill:
    """The running bill, by model. Calls turned away (4xx, 5xx) cost nothing and are not on it.

    With a file it outlives the process: a call is in the file before a byte of its answer is sent.
    """

    file: Path | None = None
    calls: list[Call] = field(default_factory=list[Call])
    models: dict[str, Account] = field(default_factory=dict[str, Account])
    messages: dict[str, Json] = field(default_factory=dict[str, Json])
    """What each call cost and whether it was answered whole, by the id of its answer."""

    def __post_init__(self) -> None:
        if self.file and self.file.exists():
            for line in self.file.read_text().splitlines():
                told = json.loads(line)
                if "answered" in told:
                    self._note_answered(told["answered"])
                else:
                    self._add(
                        told["message"], told["model"], Tokens(**told["tokens"]), told["output"],
                        told["at"],
                    )  # fmt: skip

    def charge(self, message: str, model: str, tokens: Tokens, output: int) -> None:
        """Put one call on the bill; whoever delivers its answer whole says so with `answered`."""
        at = time.time()
        told = {
            "message": message,
            "model": model,
            "tokens": vars(tokens),
            "output": output,
            "at": at,
        }
        self._write(told)
        self._add(message, model, tokens, output, at)

    def answered(self, message: str) -> None:
        """The answer of that id is delivered whole."""
        self._write({"answered": message})
        self._note_answered(message)

    def _write(self, told: Json) -> None:
        if self.file:
            with self.file.open("a") as file:
                file.write(json.dumps(told) + "\n")

    def _note_answered(self, message: str) -> None:
        self.messages[message]["answered"] = True
        self.models[self.messages[message]["model"]].answered += 1

    def _add(self, message: str, model: str, tokens: Tokens, output: int, at: float) -> None:
        account = self.models.setdefault(model, Account())
        account.calls += 1
        account.input_tokens += tokens.plain
        account.cache_read_tokens += tokens.cache_read
        account.cache_write_5m_tokens += tokens.cache_write_5m
        account.cache_write_1h_tokens += tokens.cache_write_1h
        account.output_tokens += output
        amounts = (
            tokens.plain,
            output,
            tokens.cache_read,
            tokens.cache_write_5m,
            tokens.cache_write_1h,
        )
        cost = sum(n * unit for n, unit in zip(amounts, PRICE_LIST[model], strict=True))
        account.cost_pico_usd += cost
        day = datetime.fromtimestamp(at, UTC).date()
        self.calls.append(Call(day, model, tokens, output, cost))
        self.messages[message] = {"model": model, "cost_pico_usd": cost, "answered": False}

    def as_json(self) -> Json:
        """Per model, and what it comes to in all."""
        return {
            "models": {name: vars(account) for name, account in sorted(self.models.items())},
            "calls": sum(a.calls for a in self.models.values()),
            "answered": sum(a.answered for a in self.models.values()),
            "cost_pico_usd": sum(a.cost_pico_usd for a in self.models.values()),
        }
