"""What can a person see of the forge in a browser?"""

from html import escape

from demo.forge.state import State

_STYLE = (
    "body{font:15px/1.5 system-ui;max-width:72rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;"
    "border-bottom:1px solid #ddd;vertical-align:top}code{font-size:13px}"
)
_TABLES = (
    (
        "Pull requests",
        "SELECT number, title, head, base, state, substr(merge_commit, 1, 10) AS merged "
        "FROM pulls ORDER BY number DESC",
    ),
    (
        "CI runs of main",
        "SELECT id, substr(commit_id, 1, 10) AS 'commit', status, seconds, "
        "json_array_length(failures) AS failing FROM runs ORDER BY id DESC",
    ),
    ("Issues", "SELECT number, title, author, state FROM issues ORDER BY number"),
    ("Tickets", "SELECT id, title, reporter, state, labels FROM tickets ORDER BY id"),
    ("Comments", "SELECT subject, author, body FROM comments ORDER BY id DESC LIMIT 50"),
)


def page(state: State) -> str:
    """All of it as one HTML page; every value escaped, no script."""
    parts = "".join(_table(title, state, sql) for title, sql in _TABLES)
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Northwind forge</title>"
        f"<style>{_STYLE}</style><h1>Northwind forge</h1>"
        f"<p>A demo forge on this machine. Its data is real to the demo and to nobody else.</p>{parts}</html>"
    )


def _table(title: str, state: State, sql: str) -> str:
    rows = state.rows(sql)
    if not rows:
        return f"<h2>{title}</h2><p>None yet.</p>"
    head = "".join(f"<th>{escape(name)}" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(value)}" for value in row.values()) for row in rows
    )
    return f"<h2>{title}</h2><table><tr>{head}{body}</table>"


def _cell(value: object) -> str:
    return "" if value is None else escape(str(value), quote=True)
