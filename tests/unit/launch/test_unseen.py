"""What was drawn before is drawn again, but not for ever."""

from __future__ import annotations

from itertools import count, repeat

from atrcnas.launch.unseen import unseen


def test_the_first_row_that_is_new_is_taken_and_remembered() -> None:
    drawn, seen = iter([("a",), ("b",), ("c",)]), {("a",)}
    assert unseen(lambda: next(drawn), seen) == ("b",)
    assert next(drawn) == ("c",), "nothing is drawn that is not needed"
    assert seen == {("a",), ("b",)}


def test_where_all_have_been_drawn_one_comes_again() -> None:
    numbers, rows, seen = count(1), repeat(("a",)), {("a",)}
    assert unseen(lambda: (next(numbers), next(rows))[1], seen) == ("a",)
    assert next(numbers) == 51, "after 50 draws"
