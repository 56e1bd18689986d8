"""Write docs/keys.md, the page of every key, from the models that check them: ``python -m analysis.keys_page``."""

from __future__ import annotations

from analysis.pages import KEYS, write
from atrcnas.spec.keys import Key, sections


def markdown() -> str:
    """A heading and a table for each section."""
    parts = []
    for section in sections():
        rows = [f"## {section.title[0].upper()}{section.title[1:]}", "", "| key | value | default | meaning |"]
        rows += ["|---|---|---|---|", *map(_row, section.keys)]
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def _row(key: Key) -> str:
    value = ", ".join(filter(None, (key.type, key.range)))
    default = "required" if key.default is None else f"`{key.default}`"
    return f"| `{key.path}` | {value} | {default} | {key.meaning} |".replace("<-", "&lt;-")


if __name__ == "__main__":
    write(KEYS, "keys", markdown())
