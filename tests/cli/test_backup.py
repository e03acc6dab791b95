"""`loops backup` copies a store in use, and `loops restore` says what is in doubt then."""

import json
from pathlib import Path

from tests.cli.filled import Filled, invoke


def elsewhere(morning: Filled, home: Path) -> dict[str, str]:
    """An environment whose store is not there yet."""
    return {
        **morning.environment,
        "LOOPRAIL_STORE_URL": f"sqlite://{home}/store.db",
        "LOOPRAIL_BLOBS": f"{home}/blobs",
    }


def test_a_store_is_backed_up_while_it_is_open_and_brought_back(morning: Filled, tmp_path: Path):
    backup = tmp_path / "b"
    said = morning.run("backup", backup).output
    assert said.startswith(f"Backed up to {backup}: store.db and ")
    whole = morning.json("restore", backup, "--check")
    assert whole["directory"] == str(backup)

    new = elsewhere(morning, tmp_path / "new")
    done = invoke(new, "restore", backup, "--as", "noor")
    assert done.exit_code == 0, done.output
    assert f"Restored from {backup}, taken " in done.output
    assert "2 items were open. Each is dispatched anew; a person says first" in done.output
    listed = invoke(new, "inbox", "--all").output
    assert morning.waiting in listed
    assert morning.fresh in listed


def test_a_restore_names_what_was_under_way(morning: Filled, tmp_path: Path):
    morning.run("backup", tmp_path / "b")
    new = elsewhere(morning, tmp_path / "new")
    told = json.loads(invoke(new, "restore", tmp_path / "b", "--json").stdout)
    assert told["epoch"] == 1
    assert set(told["items"]) == {morning.waiting, morning.fresh}


def test_nothing_is_overwritten_by_either(morning: Filled, tmp_path: Path):
    morning.run("backup", tmp_path / "b")
    again = morning.run("backup", tmp_path / "b")
    assert again.exit_code != 0
    assert "is not empty" in str(again.exception)
    back = morning.run("restore", tmp_path / "b")
    assert back.exit_code != 0
    assert "is there already; nothing was restored" in str(back.exception)


def test_a_backup_that_is_not_whole_is_told_apart(morning: Filled, tmp_path: Path):
    morning.run("backup", tmp_path / "b")
    (tmp_path / "b" / "manifest.json").unlink()
    checked = morning.run("restore", tmp_path / "b", "--check")
    assert checked.exit_code != 0
    assert "is no whole backup" in str(checked.exception)


def test_what_other_tools_have_put_back_is_marked_by_its_moment(morning: Filled):
    told = morning.json("restore", "--taken-at", "2026-06-02T02:14:00Z", "--as", "noor")
    assert told["taken_at"] == "2026-06-02T02:14:00.000+00:00"
    assert told["epoch"] == 1
    assert set(told["items"]) == {morning.waiting, morning.fresh}
    said = morning.run("restore", "--taken-at", "2026-06-02T04:14:00+02:00").output
    assert said.startswith("Restored from the copy of 2026-06-02 02:14 UTC.")
    assert "2 items were open. Each is dispatched anew" in said


def test_a_moment_that_cannot_be_that_of_a_copy_is_refused(morning: Filled, tmp_path: Path):
    for words in (
        ("--taken-at", "yesterday"), ("--taken-at", "2026-06-02T02:14:00"),
        ("--taken-at", "2999-01-01T00:00:00Z"), (), (tmp_path, "--taken-at", "2026-06-02T02:14:00Z"),
        ("--taken-at", "2026-06-02T02:14:00Z", "--check"),
    ):  # fmt: skip
        assert morning.run("restore", *words).exit_code == 2, words


def test_a_database_on_postgres_is_left_to_its_own_tools(morning: Filled, tmp_path: Path):
    morning.run("backup", tmp_path / "b")
    there = {**morning.environment, "LOOPRAIL_STORE_URL": "postgresql://us:secret@db/x"}
    for words, tool in (
        (("backup", tmp_path / "c"), "`pg_dump`"),
        (("restore", tmp_path / "b"), "`pg_restore`"),
    ):
        said = invoke(there, *words)
        assert said.exit_code != 0
        assert tool in str(said.exception)
        assert "secret" not in str(said.exception)
    assert not (tmp_path / "c").exists()
