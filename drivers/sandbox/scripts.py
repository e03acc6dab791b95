"""What runs inside a box to read, write, save and load its files?

The host never opens a path of a workspace: these scripts do, as the box's own user, from the read-only
image, while no process of the maker is alive. Links are therefore resolved where they can do no harm.
"""

MISSING, DIRECTORY, OUTSIDE, FAILED = 44, 45, 46, 48
"""Exit codes of the scripts."""

_ENTER = "umask 022; cd /workspace 2>/dev/null || { chmod u+rwx /workspace; cd /workspace; } || exit 48\n"

# A maker may have taken its own rights away; -exec with ';' runs before find descends.
_OPEN_UP = (
    r"find . ! -type l \( ! -readable -o ! -writable -o -type d ! -executable \) "
    r"-exec chmod u+rwX {} \;"
    "\n"
)

COMMAND = _ENTER + 'exec sh -c "$1" 2>&1'
"""$1 command. Both streams become one, in the order they were written."""

READ = (
    _ENTER
    + f"""
p=$(realpath -e -- "./$1" 2>/dev/null) || exit {MISSING}
case "$p" in /workspace) exit {DIRECTORY};; /workspace/*) ;; *) exit {OUTSIDE};; esac
[ -d "./$1" ] && exit {DIRECTORY}
[ -f "./$1" ] || exit {OUTSIDE}
exec head -c "$2" -- "./$1"
"""
)
"""$1 path, $2 bytes."""

WRITE = (
    _ENTER
    + f"""
r=$(realpath -m -- "./$2") || exit {FAILED}
case "$r/" in /workspace/*) ;; *) exit {OUTSIDE};; esac
mkdir -p -- "./$2" || exit {FAILED}
if [ -d "./$1" ] && [ ! -L "./$1" ]; then exit {DIRECTORY}; fi
t=$(mktemp -- "./$2/.write-XXXXXX") || exit {FAILED}
trap 'rm -f -- "$t"' EXIT
cat > "$t" || exit {FAILED}
[ "$(stat -c %s -- "$t")" = "$3" ] || exit {FAILED}
m=644
if [ -x "./$1" ] && [ ! -L "./$1" ]; then m=755; fi
chmod "$m" -- "$t" && mv -T -- "$t" "./$1" || exit {FAILED}
"""
)
"""$1 path, $2 its directory, $3 size; content on stdin. A link at the path is replaced, not followed."""

SAVE = _ENTER + _OPEN_UP + "exec tar --format=gnu --hard-dereference -cf - ."
"""The whole workspace as tar on stdout."""

LOAD = _ENTER + _OPEN_UP + "find . -mindepth 1 -delete && exec tar -xmf - --no-same-owner"
"""Make the workspace what the tar on stdin holds; times are now (zip refuses years before 1980)."""
