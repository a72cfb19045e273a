"""Cells of exported tables that a spreadsheet would run."""

from __future__ import annotations

import pytest

from realtime.commands.export.csv_table import format_text


@pytest.mark.parametrize(
    ("label", "cell"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"), ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"), ("  =1", "'  =1"), ("＝1", "'＝1"), ("cup", "cup"), ("a=b", "a=b"), ("", ""), ("7", "7"),
    ],
)  # fmt: skip
def test_a_label_is_never_a_formula(label: str, cell: str) -> None:
    assert format_text(label) == cell
