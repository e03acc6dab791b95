"""Which system calls may nobody in a bubblewrap box make?

A deny list as a classic BPF program, for what Docker's profile also denies: namespaces (a nested one would
lift the workspace's quota), mounts, kernel modules, keys, tracing of the kernel. Denied calls fail with EPERM.
"""

import platform
import struct

from governance.errors import Rejected

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_DENIED = {
    # acct add_key bpf delete_module finit_module fsconfig fsmount fsopen fspick init_module io_uring_setup
    # kexec_file_load kexec_load keyctl mount mount_setattr move_mount name_to_handle_at open_by_handle_at
    # open_tree perf_event_open pivot_root quotactl reboot request_key setns swapoff swapon umount2 unshare
    # userfaultfd chroot
    "x86_64": (
        163, 248, 321, 176, 313, 431, 432, 430, 433, 175, 425, 320, 246, 250, 165, 442, 429, 303,
        304, 428, 298, 155, 179, 169, 249, 308, 168, 167, 166, 272, 323, 161,
    ),
    "aarch64": (
        89, 217, 280, 106, 273, 431, 432, 430, 433, 105, 425, 294, 104, 219, 40, 442, 429, 264,
        265, 428, 241, 41, 60, 142, 218, 268, 225, 224, 39, 97, 282, 51,
    ),
}  # fmt: skip
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_NEW_NAMESPACE = 0x7E020000

_LOAD, _JUMP_EQ, _JUMP_GE, _JUMP_ANY, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _EPERM, _ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
_NR, _ARCH, _ARG0 = 0, 4, 16
_X32 = 0x40000000


def program() -> bytes:
    """The filter for this machine. Raises `Rejected` on a machine it is not written for."""
    machine = platform.machine()
    if machine not in _AUDIT_ARCH:
        raise Rejected("bubblewrap", f"has no system call filter for {machine!r} here. Use Docker.")
    return b"".join(
        (
            _line(_LOAD, _ARCH),
            # Another architecture's calls (x32 too) have other numbers: none of them is let through.
            _line(_JUMP_EQ, _AUDIT_ARCH[machine], 1, 0),
            _line(_RETURN, _ENOSYS),
            _line(_LOAD, _NR),
            _line(_JUMP_GE, _X32, 0, 1),
            _line(_RETURN, _ENOSYS),
            *(_line(_JUMP_EQ, nr, 0, 1) + _line(_RETURN, _EPERM) for nr in _DENIED[machine]),
            # clone3 hides its flags behind a pointer; without it, C libraries fall back to clone.
            _line(_JUMP_EQ, _CLONE3, 0, 1),
            _line(_RETURN, _ENOSYS),
            _line(_JUMP_EQ, _CLONE[machine], 0, 3),
            _line(_LOAD, _ARG0),
            _line(_JUMP_ANY, _NEW_NAMESPACE, 0, 1),
            _line(_RETURN, _EPERM),
            _line(_RETURN, _ALLOW),
        )
    )


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
