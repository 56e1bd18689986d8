"""Every reader by name; a new one is a row in one of the three tables."""

from __future__ import annotations

from tests.fuzz.guided import documents, files, networks

TARGETS = {**documents.TARGETS, **files.TARGETS, **networks.TARGETS}
