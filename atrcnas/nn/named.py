"""Modules by name, of a known type."""

from __future__ import annotations

from collections.abc import ItemsView, ValuesView
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

M_co = TypeVar("M_co", bound=nn.Module, covariant=True)


class Named(nn.ModuleDict, Generic[M_co]):
    """A ``ModuleDict`` of which the type checker knows what it holds; at run time nothing else."""

    if TYPE_CHECKING:

        def __getitem__(self, key: str) -> M_co: ...
        def items(self) -> ItemsView[str, M_co]: ...  # noqa: D102
        def values(self) -> ValuesView[M_co]: ...  # noqa: D102
