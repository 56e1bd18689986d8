"""Time of rendering one `rooms` sample with all labels, on one core.

OMP_NUM_THREADS=1 python -m analysis.rooms_speed
"""

from __future__ import annotations

import time

import numpy as np

from atrcnas.data.rooms import Rooms, RoomsOptions


def main() -> None:
    rooms = Rooms(RoomsOptions(), "train", Rooms.all_tasks)
    for index in range(5):
        rooms[index]
    spent_ms = []
    for index in range(100, 200):
        began = time.process_time()
        rooms[index]
        spent_ms.append((time.process_time() - began) * 1e3)
    median, high = np.percentile(spent_ms, (50, 95))
    print(f"median {median:.1f} ms, 95th percentile {high:.1f} ms, largest {max(spent_ms):.1f} ms")


if __name__ == "__main__":
    main()
