"""Do files go in and out whole, within the quota, and never through a link?"""

import errno

import pytest

from drivers.blobs import DirectoryBlobs
from governance.errors import Rejected
from governance.parts import digest
from governance.ports import Box, FileEntry
from tests.drivers.sandbox.conftest import OpenBox


async def test_what_was_written_is_read_back(box: Box) -> None:
    content = bytes(range(256)) * 1000
    await box.write("deep/er/file name.bin", content)
    assert await box.read("deep/er/file name.bin", max_bytes=1_000_000) == content
    assert await box.read("deep/er/file name.bin", max_bytes=10) == content[:10]
    await box.write("deep/er/file name.bin", b"")
    assert await box.read("./deep//er/file name.bin", max_bytes=10) == b""


async def test_names_that_look_like_options_are_names(box: Box) -> None:
    await box.write("-rf", b"dash")
    await box.write("$(id)/`id`", b"quoted")
    assert await box.read("-rf", max_bytes=10) == b"dash"
    assert await box.read("$(id)/`id`", max_bytes=10) == b"quoted"


async def test_an_executable_stays_executable_when_replaced(box: Box) -> None:
    await box.run("echo old > tool; chmod 755 tool", timeout_s=10)
    await box.write("tool", b"#!/bin/sh\necho new\n")
    assert (await box.run("./tool", timeout_s=10)).output == "new\n"


async def test_missing_files_and_directories_are_told_apart(box: Box) -> None:
    await box.run("mkdir -p somewhere; ln -sf nowhere dangling", timeout_s=10)
    for path in ("never/was", "dangling"):
        with pytest.raises(FileNotFoundError):
            await box.read(path, max_bytes=10)
    with pytest.raises(IsADirectoryError):
        await box.read("somewhere", max_bytes=10)
    with pytest.raises(IsADirectoryError):
        await box.write("somewhere", b"x")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../etc/passwd", "a/../../b", "", ".", "a\0b", "\udcff"]
)
async def test_a_path_outside_is_refused(box: Box, path: str) -> None:
    with pytest.raises(ValueError):
        await box.read(path, max_bytes=10)
    with pytest.raises(ValueError):
        await box.write(path, b"x")


async def test_no_link_leads_out_of_the_workspace(box: Box) -> None:
    await box.run(
        "ln -sfn /etc/passwd file; ln -sfn / root; ln -sfn /proc/self/environ env; ln -sfn . here",
        timeout_s=10,
    )
    for path in ("file", "root/etc/passwd", "env", "here/file"):
        with pytest.raises(ValueError, match="leads out"):
            await box.read(path, max_bytes=100)
    with pytest.raises(ValueError, match="leads out"):
        await box.write("root/tmp/planted", b"x")
    await box.write("file", b"mine now")
    assert await box.read("here/file", max_bytes=100) == b"mine now"
    assert "mine" not in (await box.run("cat /etc/passwd", timeout_s=10)).output


async def test_a_pipe_is_no_file(box: Box) -> None:
    await box.run("mkfifo pipe", timeout_s=10)
    with pytest.raises(ValueError, match="neither file"):
        await box.read("pipe", max_bytes=10)


@pytest.mark.slow
async def test_the_disk_is_full_at_the_quota_and_stays_usable(open_box: OpenBox) -> None:
    box = await open_box(max_mb=20)
    result = await box.run("dd if=/dev/zero of=big bs=1M count=500", timeout_s=30)
    assert "No space left" in result.output
    with pytest.raises(OSError, match="the workspace is full") as caught:
        await box.write("more", b"x" * 1_000_000)
    assert caught.value.errno == errno.ENOSPC
    await box.run("rm big; seq 20000 | xargs touch", timeout_s=30)
    assert 9_000 < int((await box.run("ls | wc -l", timeout_s=30)).output) <= 10_000
    await box.load({})
    assert await box.save() == {}


async def test_nothing_but_the_workspace_and_scratch_can_be_written(box: Box) -> None:
    result = await box.run(
        "for d in / /etc /usr /var /root /home /sys /proc/sys/kernel /dev /run; do"
        " touch $d/planted 2>/dev/null && echo WROTE $d; done; touch /tmp/ok && echo fine",
        timeout_s=10,
    )
    assert result.output == "fine\n"


async def test_scratch_is_limited_too(box: Box) -> None:
    result = await box.run(
        "for d in /tmp /dev/shm; do dd if=/dev/zero of=$d/f bs=1M count=400; rm -f $d/f; done 2>&1",
        timeout_s=30,
    )
    assert result.output.count("No space left") + result.output.count("Permission denied") == 2


async def test_what_is_saved_is_loaded_exactly(open_box: OpenBox, blobs: DirectoryBlobs) -> None:
    first, second = await open_box(), await open_box()
    await first.run(
        "mkdir -p a/b empty; echo text > a/b/f; printf '#!/bin/sh\\n' > run; chmod 755 run;"
        " ln -s a/b/f link; ln -s /etc/passwd out; ln a/b/f hard; : > 'new\nline'; mkfifo pipe;"
        " mkdir -p .git/hooks; echo bad > .git/hooks/pre-commit; : > zero; : > \"$(printf 'x\\377')\"",
        timeout_s=10,
    )
    saved = await first.save()
    text = digest("text\n")
    assert saved["a/b/f"] == FileEntry("100644", text)
    assert saved["hard"] == FileEntry("100644", text)
    assert saved["run"].mode == "100755"
    assert saved["link"] == FileEntry("120000", "a/b/f")
    assert saved["out"] == FileEntry("120000", "/etc/passwd")
    assert saved["empty"] == FileEntry("040000", "")
    assert saved["new\nline"] == FileEntry("100644", digest(b""))
    assert saved[".git/hooks/pre-commit"].blob == digest("bad\n")
    assert not {"pipe", "."} & set(saved)
    assert await blobs.get(text) == b"text\n"
    await second.run("echo other > other; mkdir -p a; echo x > a/b; chmod 000 a", timeout_s=10)
    await second.load(saved)
    assert await second.save() == saved


async def test_rights_a_maker_took_from_itself_hide_nothing_from_a_save(open_box: OpenBox) -> None:
    box = await open_box()
    await box.run("mkdir -p d/e; echo x > d/e/f; chmod 000 d/e/f d/e d /workspace", timeout_s=10)
    assert set(await box.save()) == {"d", "d/e", "d/e/f"}
    assert await box.read("d/e/f", max_bytes=10) == b"x\n"


@pytest.mark.slow
async def test_sparse_files_do_not_fill_the_host(open_box: OpenBox) -> None:
    box = await open_box(max_mb=20)
    await box.run("for i in 1 2 3 4 5; do truncate -s 400M sparse$i; done", timeout_s=10)
    with pytest.raises(Rejected, match="sparse"):
        await box.save()


@pytest.mark.parametrize("path", ["/abs", "../up", "a/./b", "a//b", "link/below"])
async def test_a_manifest_that_would_leave_the_workspace_is_refused(
    box: Box, blobs: DirectoryBlobs, path: str
) -> None:
    content = await blobs.put(b"x")
    manifest = {"link": FileEntry("120000", "/etc"), path: FileEntry("100644", content)}
    with pytest.raises(ValueError):
        await box.load(manifest)
