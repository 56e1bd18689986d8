"""The page on exported files: its program needs no more than it says, and its rules are all there are."""

from __future__ import annotations

import ast

from atrcnas.deploy.metadata import Metadata
from atrcnas.spec.decoders import DECODERS
from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs/exported-files.md"


def test_the_program_imports_no_more_than_the_page_says() -> None:
    (program,) = (block.text for block in blocks(PAGE, "python") if block.marks.get("file") == "plain.py")
    nodes = list(ast.walk(ast.parse(program)))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert imported == {"json", "sys", "numpy", "onnxruntime", "PIL"}
    decoded = {
        key.value for node in nodes if isinstance(node, ast.Dict) for key in node.keys if isinstance(key, ast.Constant)
    }
    assert set(DECODERS.names) <= decoded


def test_every_key_and_every_rule_has_a_row() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    first = " ".join(row.split("|")[1] for row in rows)
    assert all(f"`{name}`" in first for name in (*Metadata.model_fields, *DECODERS.names))
    assert all(decoder.rule for decoder in DECODERS)
