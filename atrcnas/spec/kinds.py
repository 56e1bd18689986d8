"""The table of context kinds: name, what it needs, how it is drawn, where its module is.

A new kind is one file with its module and one ``KINDS.register(Kind(...))``, here or in a plugin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atrcnas.ground.registry import Registry


@dataclass(frozen=True)
class Kind:
    """One kind of context.

    Attributes:
        name: the word used everywhere.
        module: subclass of ``atrcnas.nn.contexts.base.Context``, or its ``"module:Class"`` string; None pools nothing.
        description: one line.
        letter: one or two characters for the heat map.
        colour: hex colour for plots; kinds also differ in lightness, so that greyscale prints stay readable.
        needs_target_label: pools by the target's label map.
        needs_source_label: pools by the source's label map.
        on_diagonal: offered when target and source are the same task.
        reference_code: the integer of the ATRC reference implementation's JSON, None if it has none.
    """

    name: str
    module: Any
    description: str
    letter: str
    colour: str
    needs_target_label: bool = False
    needs_source_label: bool = False
    on_diagonal: bool = True
    reference_code: int | None = None


NONE, _JOIN = "none", "+"


def parts(name: str) -> tuple[str, ...]:
    """The kinds of a name: one, or the two of a pair that uses both (``local+global``)."""
    return tuple(name.split(_JOIN))


def joined(names: Sequence[str]) -> str:
    """The name of a pair's choice that uses all of ``names``, whichever comes first."""
    return _JOIN.join(sorted(names, key=KINDS.names.index))


class Kinds(Registry[Kind]):
    """The table of kinds; it also knows two of them used together, as ``local+global``, which is not an entry of its own."""

    def __getitem__(self, name: str) -> Kind:
        if not self._is_joined(name):
            return super().__getitem__(name)
        both = [super(Kinds, self).__getitem__(part) for part in parts(name)]
        return Kind(
            name,
            None,
            " and ".join(kind.description for kind in both),
            "".join(kind.letter for kind in both),
            both[0].colour,
            needs_target_label=any(kind.needs_target_label for kind in both),
            needs_source_label=any(kind.needs_source_label for kind in both),
            on_diagonal=all(kind.on_diagonal for kind in both),
        )

    def __contains__(self, name: object) -> bool:
        return self._is_joined(name) or super().__contains__(name)

    def _is_joined(self, name: object) -> bool:
        both = parts(name) if isinstance(name, str) else ()
        known = all(super(Kinds, self).__contains__(part) and part != NONE for part in both)
        return len(both) == len(set(both)) == 2 and known


KINDS = Kinds("kind")

KINDS.register(Kind(NONE, None, "no context", "–", "#d9d9d9", reference_code=0))
KINDS.register(
    Kind(
        "global",
        "atrcnas.nn.contexts.global_:Global",
        "linear attention over the whole image",
        "G",
        "#e69f00",
        reference_code=1,
    )
)
KINDS.register(
    Kind("local", "atrcnas.nn.contexts.local:Local", "attention in a 9x9 window", "L", "#0072b2", reference_code=2)
)
KINDS.register(
    Kind(
        "tlabel",
        "atrcnas.nn.contexts.label:TargetLabel",
        "attention to the regions of the target's label map",
        "T",
        "#d55e00",
        needs_target_label=True,
        reference_code=3,
    )
)
KINDS.register(
    Kind(
        "slabel",
        "atrcnas.nn.contexts.label:SourceLabel",
        "attention to the regions of the source's label map",
        "S",
        "#5fbf9b",
        needs_source_label=True,
        on_diagonal=False,
        reference_code=4,
    )
)
KINDS.register(Kind("mti", "atrcnas.nn.contexts.mti:Mti", "gated distillation of PAD-Net and MTI-Net", "M", "#4b2e63"))
KINDS.register(Kind("linear", "atrcnas.nn.contexts.linear:Linear", "the source's features, passed on", "I", "#7d321f"))
KINDS.register(
    Kind("wide", "atrcnas.nn.contexts.wide:Wide", "depthwise 13x13 convolution of the source", "W", "#56b4e9")
)
KINDS.register(
    Kind("aspp", "atrcnas.nn.contexts.aspp:Aspp", "dilated depthwise convolutions and image mean", "A", "#f0e442")
)
KINDS.register(
    Kind("aspp_dense", "atrcnas.nn.contexts.aspp:DenseAspp", "dilated convolutions and image mean", "D", "#9a9a00")
)
KINDS.register(Kind("query", "atrcnas.nn.contexts.query:Query", "attention to 32 learned regions", "Q", "#da8fc7"))
KINDS.register(
    Kind(
        "affinity",
        "atrcnas.nn.contexts.affinity:Affinity",
        "the target's values along the source's structure",
        "F",
        "#c2185b",
    )
)
KINDS.register(
    Kind("cross", "atrcnas.nn.contexts.cross:Cross", "cross-attention at reduced resolution", "X", "#1b5e20")
)
