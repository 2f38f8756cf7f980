"""Foreign text as the database can keep it: what exceptions say, what headers, hosts and authors call things."""

import re

#: PostgreSQL has no NUL in text, and UTF-8 has no lone surrogate.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str, limit: int) -> str:
    r"""Return a text with what cannot be stored written out, as in `\x00`, and without what is too much.

    Args:
        text: Any text.
        limit: How many characters there is room for.
    """
    return _UNSTORABLE.sub(_written_out, text[:limit])[:limit]


def excerpt(text: str, limit: int) -> str:
    """Return what `storable` does; of a text that is too long, its beginning and its end.

    Args:
        text: Any text.
        limit: How many characters of it to keep, more or less.
    """
    if len(text) <= limit:
        return storable(text, 2 * limit)
    half = limit // 2
    left_out = f"\n[… {len(text) - 2 * half:,} characters left out …]\n"
    return storable(f"{text[:half]}{left_out}{text[-half:]}", 2 * limit)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code else "\\x00"
