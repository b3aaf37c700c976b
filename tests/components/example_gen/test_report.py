"""The account of an ingest."""

import pytest

from components.example_gen import report
from components.example_gen.listing import LeftOut


def test_an_image_lost_in_silence_is_noticed() -> None:
    with pytest.raises(RuntimeError, match=r"read 2 is not kept 0 \+ left out 1"):
        report.account(2, {"train": []}, [LeftOut("a.png", "file is empty")])


def test_reasons_are_counted_the_most_frequent_first() -> None:
    left_out = [LeftOut(str(n), "often" if n else "once") for n in range(60)]
    account = report.account(60, {"train": []}, left_out)
    assert list(account["left_out"].items()) == [("often", 59), ("once", 1)]
    assert account["left_out_files"]["once"] == ["0"]
    assert len(account["left_out_files"]["often"]) == 50
