"""Rooms: rendered indoor scenes with exact ground truth for six dense tasks, made with NumPy only."""

from atrcnas.data.rooms.dataset import Rooms, RoomsOptions

__all__ = ["Rooms", "RoomsOptions"]
