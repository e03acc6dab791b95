"""Does this credential belong to a person rather than to the organisation?

Only what can be recognised by its shape. A loop that acts with a person's own token acts in that person's name
everywhere it reaches, and stops when that person leaves.
"""

_PERSONAL = (
    ("ghp_", "a person's GitHub token (classic)"),
    ("github_pat_", "a person's GitHub token (fine-grained)"),
    ("gho_", "a GitHub token an app got for a person"),
    ("ghu_", "a GitHub token an app acts with for a person"),
    ("sk-ant-oat", "a person's Claude subscription token"),
    ("sk-ant-ort", "a person's Claude refresh token"),
    ("sk-ant-sid", "a person's Claude session"),
    ("xoxp-", "a person's Slack token"),
    ("lin_api_", "a person's Linear key"),
)
_SECRET = (*(prefix for prefix, _ in _PERSONAL), "sk-ant-", "ghs_", "ghr_", "glpat-", "xoxb-")


def personal(token: str) -> str | None:
    """What kind of a person's own token this is, or None when it is not recognisably one."""
    return next((kind for prefix, kind in _PERSONAL if token.startswith(prefix)), None)


def gives_away(text: str) -> bool:
    """Whether a text that others can see (a command line, a setting) holds what looks like a credential."""
    return any(prefix in text for prefix in _SECRET)
