"""Whatever stands in a loop file, the answer is a loop or a refusal a person understands: never a traceback."""

import copy
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.check import check_registry

ROOT = Path(__file__).parents[2]
REGISTRY = ROOT / "registry"
LOOPS = {path.stem: path.read_text() for path in sorted((REGISTRY / "loops").glob("*.yaml"))}
BATCH = 250

BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
HOSTILE: dict[str, bytes] = {
    "alias bomb": BOMB.encode(),
    "merge bomb": b"a: &a {x: 1}\nb: {<<: *a, <<: *a}\n",
    "merge without alias": b"name: x\n<<: {model: y}\n",
    "deep flow lists": b"a: " + b"[" * 30_000,
    "deep flow mappings": b"{a: " * 10_000,
    "deep blocks": b"".join(b" " * n + b"a:\n" for n in range(300)),
    "deep keys": b"? " * 20_000,
    "deep sequences": b"- " * 30_000,
    "huge integer": b"name: x\nharness: {max_steps: " + b"9" * 50_000 + b"}\n",
    "big integer": b"name: x\nharness: {max_steps: 999999999999999999999}\n",
    "huge float": b"value: {hourly_rate_usd: 1e999999}\n",
    "not a number": b"value: {hourly_rate_usd: .nan}\n",
    "infinity": b"value: {minutes_saved: {low: -.inf, base: 0, high: .inf}}\n",
    "NUL": b"name: a\0b\n",
    "escaped NUL": b'name: "a\\0b"\n',
    "escape sequence": b'owner: "\\e[2J\\e[31mroot"\n',
    "direction override": 'owner: "\u202egro.elpmaxe@noon"\n'.encode(),
    "zero width": "name: morning\u200btriage\n".encode(),
    "escaped surrogate": b'name: "\\ud800"\n',
    "raw surrogate": b"name: \xed\xa0\x80\n",
    "byte order mark inside": b"name: a\n\xef\xbb\xbfmodel: b\n",
    "UTF-16": "name: a\n".encode("utf-16"),
    "latin-1": "owner: Zoë\n".encode("latin-1"),
    "look-alike": "nаme: x\n".encode(),
    "emoji": "name: 🦊\nintent: 🦊 finds work\n".encode(),
    "tabs": b"\tname: x\n\t\tmodel: y\n",
    "duplicate keys": b"name: x\nname: y\nname: z\n",
    "python object": b"!!python/object/apply:os.system ['touch /tmp/pwned']\n",
    "python name": b"name: !!python/name:os.system\n",
    "binary tag": b"name: !!binary aGVsbG8=\n",
    "local tag": b"name: !secret x\n",
    "two documents": b"name: a\n---\nname: b\n",
    "many documents": b"---\n" * 20_000,
    "directives": b"%TAG ! tag:evil,2000:\n---\nname: !x y\n",
    "empty": b"",
    "null": b"null\n",
    "a list": b"- name: x\n",
    "a word": b"loop\n",
    "a number": b"42\n",
    "agent in agent": b"agent: {agent: {agent: {name: x}}}\n",
    "agent is a list": b"agent: [1]\n",
    "agent and more": b"agent: {name: x}\nname: y\n",
    "keys that are not text": b"1: a\n2.5: b\ntrue: c\nnull: d\n[e]: f\n",
    "norway": b"name: no\nteam: on\n",
    "odd numbers": b"harness: {max_steps: 0x3c, max_minutes: 0o17, max_lives: 012, stall_after: 1:30}\n",
    "dates": b"name: 2026-01-01\nteam: 2026-01-01T00:00:00Z\n",
    "binary": bytes(range(256)) * 40,
    "many keys": b"".join(b"k%d: 1\n" % n for n in range(6_000)),
    "many unknown fields": b"".join(b"k%d: 1\n" % n for n in range(2_000)),
    "long key": b"k" * 60_000 + b": 1\n",
    "long line": b"name: " + b"a" * 60_000 + b"\n",
    "comment only": b"# " + b"x" * 60_000,
    "quotes": b"'" * 60_001,
    "colons": b":" * 60_000,
    "brackets": b"[]{}" * 15_000,
    "block scalar": b"name: |99999999\n  x\n",
    "template": b"name: '{{ prefect.blocks.secret.x }}'\nowner: '{{ $HOME }}'\n",
    "cron bomb": b"trigger: {schedule: '0-59/1,0-59/1 0-999999999 1-999999999 * *'}\n",
    "duration bomb": b"harness: {on_no_approver: {after: 999999w}}\n",
    "zone traversal": b"trigger: {timezone: ../../../etc/passwd}\n",
    "10 MB": b"name: " + b"a" * 10_000_000,
    "just over the cap": b"#" * (64 * 1024 + 1),
}  # fmt: skip
WRONG = (None, True, 0, -1, 10**29, 1.5, "", "no", "{{ x }}", "a" * 5_000, [], [[]], {}, {"x": 1}, ["x", 1, None], "../..")  # fmt: skip
TOKENS = (
    "&a ", "*a", "!!python/object:x ", "<<: ", "? ", "- ", "[", "{", "]", "}", "'", '"', "|", ">", "%", "@", "`", "\t", "\0",
    "\x1b[31m", "\u202e", "\ufeff", "\u2028", "---\n", "...\n", "#", ": ", "\r", "9" * 40, "~", "no", "yes", "0x1F", "1e400", ".inf",
    "{{ x }}", "agent:", "name: x\n", "\n\n", "  ", "é", "🦊", "\\", "=", "!", "!!", "&", "*",
)  # fmt: skip


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """Northwind's registry with an empty loops/."""
    root = tmp_path / "registry"
    shutil.copytree(REGISTRY, root, ignore=shutil.ignore_patterns("loops"))
    (root / "loops").mkdir()
    return root


def judge(root: Path, files: list[bytes]) -> int:
    """Check these files as loops of the registry; how many of them were taken."""
    for path in (root / "loops").iterdir():
        path.unlink()
    for n, content in enumerate(files):
        (root / "loops" / f"loop-{n}.yaml").write_bytes(content)
    examined, loops = check_registry(root)
    assert loops + len(examined.problems) >= len(files)
    for problem in (*examined.problems, *examined.warnings):
        text = str(problem)
        assert text.isprintable(), f"{text!r} would reach a terminal"
        assert len(text) < 1_000
        assert problem.text
    refused = {p.file for p in examined.problems}
    assert (examined.registry is None) == bool(refused)
    return len(files) - len(refused)


def mutants(seed: int) -> Iterator[bytes]:
    """Real loops with one to four things done to their text."""
    chance = random.Random(seed)
    for n in range(BATCH):
        name, text = chance.choice(sorted(LOOPS.items()))
        text = text.replace(f"name: {name}", f"name: loop-{n}")
        for _ in range(chance.randint(1, 4)):
            text = mutated(text, chance)
        yield text.encode()


def mutated(text: str, chance: random.Random) -> str:
    at, lines = chance.randrange(len(text) + 1), text.split("\n")
    line = chance.randrange(len(lines))
    match chance.randrange(7):
        case 0:
            return text[:at] + chance.choice(TOKENS) + text[at:]
        case 1:
            return text[:at]
        case 2:
            return text[:at] + text[at + chance.randrange(20) :]
        case 3:
            return "\n".join([*lines[:line], lines[line], *lines[line:]])
        case 4:
            return "\n".join(lines[:line] + lines[line + 1 :])
        case 5:
            return "\n".join(
                [*lines[:line], " " * chance.randrange(9) + lines[line].strip(), *lines[line + 1 :]]
            )
        case _:
            key, colon, _ = lines[line].partition(":")
            return "\n".join(
                [*lines[:line], key + colon + " " + chance.choice(TOKENS), *lines[line + 1 :]]
            )


def places(value: object, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a nested value."""
    yield above
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*above, key))
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from places(inner, (*above, n))


def planted(whole: object, place: tuple[str | int, ...], wrong: object) -> object:
    if not place:
        return wrong
    whole = copy.deepcopy(whole)
    inner = whole
    for part in place[:-1]:
        inner = inner[part]  # pyright: ignore
    inner[place[-1]] = wrong  # pyright: ignore
    return whole


def test_the_loops_themselves_are_taken(registry: Path):
    texts = [
        text.replace(f"name: {name}", f"name: loop-{n}").encode()
        for n, (name, text) in enumerate(LOOPS.items())
    ]
    assert judge(registry, texts) == len(texts)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_within_a_second(registry: Path, name: str):
    started = time.process_time()
    assert judge(registry, [HOSTILE[name]]) == 0
    assert time.process_time() - started < 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(14))
def test_damaged_loops_are_taken_or_refused(registry: Path, seed: int):
    taken = judge(registry, list(mutants(seed)))
    assert 0 < taken < BATCH


@pytest.mark.slow
@pytest.mark.parametrize("name", LOOPS)
def test_a_wrong_value_at_any_place_is_taken_or_refused(registry: Path, name: str):
    whole = yaml.safe_load(LOOPS[name])
    files = [
        yaml.safe_dump(planted(whole, place, wrong)).encode()
        for place in places(whole)
        for wrong in WRONG
    ]
    assert len(files) > 400
    for start in range(0, len(files), BATCH):
        judge(registry, files[start : start + BATCH])


@pytest.mark.slow
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=300),
            st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                lambda inner: (
                    st.lists(inner, max_size=4)
                    | st.dictionaries(st.text(max_size=12), inner, max_size=4)
                ),
                max_leaves=15,
            ).map(
                lambda value: yaml.safe_dump(value, allow_unicode=True).encode(
                    "utf-8", "surrogatepass"
                )
            ),
        ),
        min_size=20,
        max_size=20,
    )
)
@settings(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_random_files_are_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, files: list[bytes]
):
    root = tmp_path_factory.getbasetemp() / "random" / "registry"
    if not root.exists():
        shutil.copytree(REGISTRY, root, ignore=shutil.ignore_patterns("loops"))
        (root / "loops").mkdir()
    judge(root, files)


def link(root: Path, name: str, target: str | Path) -> None:
    (root / "loops" / name).symlink_to(target)


def test_a_link_out_of_the_registry_is_never_opened(registry: Path, tmp_path: Path):
    (tmp_path / "secret.yaml").write_text("name: secret-canary\n")
    link(registry, "a.yaml", tmp_path / "secret.yaml")
    link(registry, "b.yaml", "/dev/zero")
    link(registry, "c.yaml", "c.yaml")
    link(registry, "d.yaml", "nowhere.yaml")
    link(registry, "e.yaml", "..")
    os.mkfifo(registry / "loops" / "f.yaml")
    (registry / "loops" / "g.yaml").mkdir()
    (registry / "loops" / "h\x1b[31m.yaml").write_text("name: h\n")
    started = time.process_time()
    examined, _ = check_registry(registry)
    assert time.process_time() - started < 2
    told = {p.file.rpartition("/")[2]: p.text for p in examined.problems}
    assert told == {
        "a.yaml": "is a link that leads out of the registry",
        "b.yaml": "is a link that leads out of the registry",
        "c.yaml": "is a link that leads to itself",
        "d.yaml": "cannot be read (No such file or directory)",
        "e.yaml": "cannot be read (Is a directory)",
        "f.yaml": "is not a regular file",
        "h\\x1b[31m.yaml'": "its name holds characters that are not letters, digits or '._-/ '",
    }


def test_a_link_inside_the_registry_is_followed(registry: Path):
    (registry / "loops" / "ticket-triage.yaml").write_text(LOOPS["ticket-triage"])
    os.rename(registry / "loops" / "ticket-triage.yaml", registry / "loops" / "real.yaml")
    link(registry, "ticket-triage.yaml", "real.yaml")
    examined, _ = check_registry(registry)
    assert [(p.file, p.field) for p in examined.problems] == [("registry/loops/real.yaml", "name")]


def test_a_registry_of_links_in_a_circle_ends(registry: Path):
    (registry / "skills" / "round").symlink_to(registry / "skills")
    examined, _ = check_registry(registry)
    assert [p.file for p in examined.problems] == ["registry/skills/round"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["alias bomb", "deep flow lists", "deep keys", "huge integer", "NUL", "escape sequence", "direction override", "raw surrogate",
     "UTF-16", "tabs", "duplicate keys", "python object", "two documents", "many documents", "empty", "binary", "many keys", "quotes",
     "template", "10 MB"],
)  # fmt: skip
def test_the_command_refuses_a_hostile_file_in_little_memory(registry: Path, name: str):
    (registry / "loops" / "bad.yaml").write_bytes(HOSTILE[name])
    bounded = 'ulimit -v 1500000; exec "$0" -m cli.main check --registry "$1"'
    done = subprocess.run(
        ["sh", "-c", bounded, sys.executable, registry],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "")
    assert "registry/loops/bad.yaml" in done.stdout
    assert done.stdout.replace("\n", "").isprintable()
    assert len(done.stdout) < 20_000
