"""Tables with faults: without --keep-good the first one stops the import, with it no control is ever a guess."""

import itertools

import numpy as np
import pytest

from aapt_env.data import footage, inputs
from aapt_env.data.importing import import_
from tests.films import EVEN, film, table

HEAD = ["time", "left", "right"]
GOOD = [(t, i % 2, i // 3 % 2) for i, t in enumerate(EVEN)]
TRUTH = np.array(GOOD)[:, 1:]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return film(tmp_path_factory.mktemp("films") / "drive.mp4", EVEN)


def with_rows(**changes):
    """The good rows, some replaced, or for None left out."""
    rows = [changes.get(f"row{i}", row) for i, row in enumerate(GOOD)]
    return [row for row in rows if row is not None]


def frames_of(data):
    """The numbers of the video's frames in each episode; all controls must be those that were pressed."""
    found = []
    for i, episode in enumerate(data.index):
        begin = round(episode.extras["seconds"] * 24)
        controls = data.controls(i)
        assert (controls == TRUTH[begin : begin + len(controls)]).all()
        found.append(range(begin, begin + len(controls)))
    return found


FAULTS = [
    (dict(row70=(EVEN[70], "up", 0)), r"in.csv, line 72: left is 'up', expected a number", {70}),
    (dict(row70=(EVEN[70], 0, "")), "line 72: right is no number", {70}),
    (dict(row70=(EVEN[70], 0)), "line 72: 2 cells, expected 3 as in its first line", {69, 70}),
    (dict(row70=(EVEN[70], 0, 1, 1)), "line 72: 4 cells, expected 3", {69, 70}),
    (dict(row70=("", 0, 0)), "line 72: it has no time", {69, 70}),
    (dict(row70=("noon", 0, 0)), "line 72: it has no time", {69, 70}),
    (dict(row70=(EVEN[10], 0, 0)), "line 72: times must rise; sort the rows", {69, 70}),
    (dict(row70=(1000, 0, 0)), "line 72: times must rise", {69, 70}),
    (dict(row70=(EVEN[10], "up", 0)), "line 72: left is 'up'", {69, 70}),
    (dict(row70=(EVEN[69], 1, 1)), "line 72: times must rise; .*drop doubles", {69, 70}),
    (dict(row0=(0, "up", 0)), "line 2: left is 'up'", {0}),
    (dict(row119=(EVEN[119], "up", 0)), "line 121: left is 'up'", {119}),
    (
        {f"row{i}": (EVEN[i], "up", "") for i in range(70, 74)},
        "lines 72 to 75: left is 'up'",
        {70, 73},
    ),
]


@pytest.mark.parametrize(("changes", "said", "lost"), FAULTS)
def test_a_bad_row_stops_the_import_or_is_left_out(video, tmp_path, capsys, changes, said, lost):
    actions = table(tmp_path / "in.csv", HEAD, with_rows(**changes))
    with pytest.raises(ValueError, match=said + ".* of .*drive.mp4; --keep-good goes on"):
        import_(video, actions, k=1, out=tmp_path / "out")
    data = import_(video, actions, k=1, max_seconds=60, out=tmp_path / "out", keep_good=True)
    assert capsys.readouterr().out.count("left out: ") == 1, "one line for one fault"
    kept = frames_of(data)
    gone = set(range(min(lost), max(lost) + 1))
    edge = {119, min(lost) - 1}  # the last frame of a part shows what its last control led to
    assert not gone & set().union(*kept) and gone | edge >= set(range(120)) - set().union(*kept)


def test_what_holds_until_an_unknown_time_is_unknown(video, tmp_path):
    """Of an event log nobody knows when in between the lost row was meant."""
    rows = [(0, 0, 0), (1, 1, 0), ("", 0, 0), (3, 0, 1), (4.9, 0, 0), (5, 0, 0)]
    actions = table(tmp_path / "in.csv", HEAD, rows)
    data = import_(video, actions, k=1, max_seconds=60, out=tmp_path / "out", keep_good=True)
    assert [round(episode.extras["seconds"] * 24) for episode in data.index] == [0, 72]
    assert data.index[0].length == 24 and (data.controls(0) == 0).all()
    assert (data.controls(1)[:40] == [0, 1]).all()


def test_nothing_is_decoded_before_all_tables_are_good(video, tmp_path, monkeypatch):
    monkeypatch.setattr(footage, "frames", None)
    folder = tmp_path / "runs"
    folder.mkdir()
    for name, rows in (("a", GOOD), ("b", with_rows(row119=(EVEN[119], "up", 0)))):
        (folder / f"{name}.mp4").write_bytes(video.read_bytes())
        table(folder / f"{name}.csv", HEAD, rows)
    with pytest.raises(ValueError, match="b.csv, line 121"):
        import_(folder, out=tmp_path / "out")


@pytest.mark.parametrize(
    "rows",
    [[(t, "up", 0) for t in EVEN], [("", 0, 0)] * 9, [(0, 1)] * 9, [(t, "nan", 0) for t in EVEN]],
)
@pytest.mark.parametrize("keep_good", [False, True])
def test_a_table_without_a_good_row_is_an_error(video, tmp_path, rows, keep_good):
    actions = table(tmp_path / "in.csv", HEAD, rows)
    with pytest.raises(ValueError, match=r"in.csv: no row of it can be used; line 2: "):
        import_(video, actions, out=tmp_path / "out", keep_good=keep_good)
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()


BAD = {
    "word": (HEAD, with_rows(row60=(EVEN[60], "up", 0)), r"b.csv, line 62: left is 'up'"),
    "columns": (HEAD[:2], [row[:2] for row in GOOD], r"b.csv has inputs \['left'\], .*a.csv has"),
    "text": (["a note"], [("that is no table",)], "b.csv: no row of it can be used"),
    "empty": (["time"], [], "b.csv: expected a line of names"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("bad", "ab")
def test_one_bad_table_of_a_folder(video, tmp_path, capsys, kind, bad):
    """Whichever of three it is: it is named, and with --keep-good the others are kept."""
    head, rows, said = BAD[kind]
    folder = tmp_path / "runs"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.mp4").write_bytes(video.read_bytes())
        table(folder / f"{name}.csv", *((head, rows) if name == bad else (HEAD, GOOD)))
    said = said.replace("b.csv", f"{bad}.csv").replace(
        ".*a.csv", f".*{'b' if bad == 'a' else 'a'}.csv"
    )
    with pytest.raises(ValueError, match=said + ".*; --keep-good goes on"):
        import_(folder, out=tmp_path / "out")
    data = import_(folder, out=tmp_path / "out", keep_good=True)
    out = capsys.readouterr().out
    assert out.count("left out: ") == 1 and f"{bad}.csv" in out
    kept = {episode.extras["source"]: 0 for episode in data.index}
    for episode in data.index:
        kept[episode.extras["source"]] += episode.length - 1
    bad_part = kept.pop(f"{bad}.mp4", 0)
    assert kept == {f"{name}.mp4": 116 for name in "abc" if name != bad}
    assert bad_part == (112 if kind == "word" else 0)
    frames_of(data)


def test_of_tables_that_are_all_bad_the_first_is_named(video, tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.mp4").write_bytes(video.read_bytes())
        table(folder / f"{name}.csv", HEAD, [("", 0, 0)])
    with pytest.raises(
        ValueError, match=r"a.csv: no row of it can be used; line 2: it has no time"
    ):
        import_(folder, out=tmp_path / "out", keep_good=True)


def test_as_few_rows_as_can_be_are_left_out(video, tmp_path):
    rng, clock = np.random.default_rng(0), footage.clock(video)
    for _ in range(60):
        times = rng.integers(0, 7, 7)
        read = inputs.read(table(tmp_path / "in.csv", HEAD[:2], [(t, 1) for t in times]), clock, 1)
        good = np.isfinite(read.rows[:, 0])
        rising = (
            len(c)
            for n in range(8)
            for c in itertools.combinations(times, n)
            if (np.diff(c) > 0).all()
        )
        assert good.sum() == max(rising)
        assert (np.diff(read.times) > 0).all() and (read.times[good] == times[good]).all()
