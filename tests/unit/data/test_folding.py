"""One fault in many files is one line."""

from __future__ import annotations

from atrcnas.data.folding import fold

RANGE = (
    "expected class numbers 0..4, got {} ({} pixels, the first at row {}, column 3). Set data.options.classes.semseg."
)


def test_the_same_fault_in_232_files_is_one_line_with_the_way_out() -> None:
    lines = [f"data/train/semseg/{n:04}.png: {RANGE.format(n % 250 + 5, n + 1, n)}" for n in range(232)]
    (line,) = fold(lines)
    assert line.startswith(lines[0])
    assert line.endswith("The same in 231 more files: 0001.png, 0002.png, 0003.png, ...")


def test_several_numbers_are_the_same_fault_as_one() -> None:
    lines = [f"a/{n}.png: {RANGE.format(got, 1, 1)}" for n, got in enumerate(("7", "7, 9", "5, 6, 7, 8, 9, ..."))]
    assert len(fold(lines)) == 1


def test_other_faults_folders_and_samples_stay_apart_in_the_order_of_their_first() -> None:
    lines = [
        "a/1.png: expected a readable image, got an error (truncated). Replace it.",
        f"b/1.png: {RANGE.format(7, 1, 1)}",
        "a/2.png: expected a readable image, got an error (truncated). Replace it.",
        f"c/1.png: {RANGE.format(7, 1, 1)}",
        "photo3: edge: expected 0..1, got 0..4. Correct the sample.",
        "photo4: edge: expected 0..1, got 0..5. Correct the sample.",
        "photo4: sal: expected 0..1, got 0..5. Correct the sample.",
    ]
    folded = fold(lines)
    assert [line.split(":")[0] for line in folded] == ["a/1.png", "b/1.png", "c/1.png", "photo3", "photo4"]
    assert folded[0].endswith("The same in 1 more file: 2.png")
    assert folded[1] == lines[1]
