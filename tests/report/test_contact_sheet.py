import numpy as np
import PIL.Image
import pytest
import torch

from impasto.report import contact_sheet as sheet
from impasto.report.contact_sheet import LabelledImage, draw, in_rows


def plain(level: float, height: int = 200, width: int = 300) -> torch.Tensor:
    return torch.full((1, 3, height, width), level)


def spots(image: PIL.Image.Image, level: float) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of the pixels of this grey level."""
    rows, columns = np.nonzero((np.asarray(image) == round(255 * level)).all(axis=2))
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


def test_pictures_stand_in_rows_and_columns_at_their_own_size():
    image = draw(
        [
            [LabelledImage(plain(0.2), ["a"]), LabelledImage(plain(0.4), ["b"])],
            [LabelledImage(plain(0.6), ["c"]), None],
        ],
        "title",
    )
    a, b, c = (spots(image, level) for level in (0.2, 0.4, 0.6))
    assert all((box[2] - box[0], box[3] - box[1]) == (200, 300) for box in (a, b, c))
    assert a[0] == b[0] < a[2] < c[0]
    assert a[1] == c[1] < a[3] < b[1]
    assert image.width > b[3]
    assert image.height > c[2]


def test_a_smaller_picture_is_shown_as_large_as_the_largest_and_keeps_its_shape():
    image = draw(
        [
            [
                LabelledImage(plain(0.2), ["a"]),
                LabelledImage(plain(0.4, 100, 150), ["b"]),
                LabelledImage(plain(0.6, 100, 100), ["c"]),
            ]
        ],
        "",
    )
    b, c = spots(image, 0.4), spots(image, 0.6)
    assert (b[2] - b[0], b[3] - b[1]) == (200, 300)
    assert (c[2] - c[0], c[3] - c[1]) == (200, 200)


def test_a_row_is_as_high_as_its_highest_picture():
    low, high = LabelledImage(plain(0.2, 100, 300), ["a"]), LabelledImage(plain(0.4, 300, 300), ["b"])
    assert draw([[low, low], [high, high]], "").height == draw([[high, high], [high, high]], "").height - 200


def test_a_sheet_that_would_be_too_large_shows_its_pictures_smaller(monkeypatch):
    monkeypatch.setattr(sheet, "LONGEST", 900)
    image = draw([[LabelledImage(plain(0.2), ["a"])] * 6], "")
    assert image.width < 6 * (sheet.NARROWEST + 20)
    box = spots(draw([[LabelledImage(plain(0.2), ["a"]), *[None] * 5]], ""), 0.2)
    assert (box[2] - box[0], box[3] - box[1]) == (100, 150)


def test_labels_are_written_above_and_cut_where_there_is_no_room():
    short, long = (draw([[LabelledImage(plain(1.0), [text])]], "") for text in ("size 3", "size 3" * 40))
    assert short.size == long.size
    ink = [np.asarray(image).min(axis=2) < 128 for image in (short, long)]
    assert 0 < ink[0].sum() < ink[1].sum()
    assert np.nonzero(ink[1])[1].max() < long.width - 4
    font = sheet._font(12)
    assert sheet._cut("size 3", font, 1000) == "size 3"
    assert sheet._cut("size 3" * 40, font, 60).endswith("…")
    assert font.getlength(sheet._cut("size 3" * 40, font, 60)) <= 60


def test_what_is_transparent_shows_the_paper():
    alpha = torch.ones(1, 1, 200, 300)
    alpha[..., :150] = 0
    box = spots(draw([[LabelledImage(plain(0.2), ["a"], alpha)]], ""), 0.2)
    assert box[3] - box[1] == pytest.approx(150, abs=1)


@pytest.mark.parametrize(
    ("count", "width", "columns"), [(1, 300, 1), (3, 300, 3), (5, 300, 3), (6, 300, 3), (15, 300, 5), (2, 1200, 1)]
)
def test_one_row_is_wrapped_where_it_would_become_a_ribbon(count, width, columns):
    shots = [LabelledImage(plain(n / 10, 200, width), [str(n)]) for n in range(count)]
    rows = in_rows(shots)
    assert len(rows[0]) == columns
    assert [shot for row in rows for shot in row] == shots
