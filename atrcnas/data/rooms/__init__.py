"""Rooms: rendered indoor scenes with exact ground truth for six dense tasks, made of numpy alone."""

from atrcnas.data.rooms.dataset import Rooms, RoomsOptions

__all__ = ["Rooms", "RoomsOptions"]
