"""Watches: what may be one, when it fires, who is told how often, and how drift is measured."""

import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from pipelines import lake, query, schemas, watches
from pipelines.errors import LakeBusy, QueryError, SettingsError
from pipelines.lake import Lake
from tests.faults.test_crashes import LEDGER, chunk

DAYS = 7
CHUNKS = "SELECT count(*) FROM runs WHERE kind = 'chunk'"


@pytest.fixture
def small(tmp_path) -> Lake:
    where = Lake(tmp_path / "lake", create=True)
    where.commit(*chunk(0))
    return where


@pytest.fixture
def sample(sample_lake, tmp_path) -> Lake:
    return Lake(shutil.copytree(sample_lake, tmp_path / "sample"))


def asked(where: Lake, sql: str) -> object:
    return query.run(where, sql).column(0)[0].as_py()


# ---- what may be a watch ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT uri FROM recordings", "expected one number, found .* of uri"),
        ("SELECT 1, 2", "expected one number"),
        ("SELECT seq FROM runs WHERE false", "expected one number, found 0 rows"),
        ("SELECT NULL", "expected one number"),
        ("SELECT true", "expected one number"),
        ("FROM (VALUES (1), (2))", "expected one number, found 2 rows"),
        ("SELECT nonsense FROM speech", "nonsense"),
        ("COPY runs TO '{root}/planted.csv'", "expected one query that reads"),
        ("SELECT count(*) FROM read_csv('/etc/passwd')", "The views are"),
        ("", "expected one query that reads"),
    ],
)
def test_a_query_that_does_not_answer_with_one_number_is_refused(small, sql, why):
    with pytest.raises(QueryError, match=why):
        watches.add(small, "w", sql.replace("{root}", str(small.root)), above=1)
    assert not small.exists("watches") and not (small.root / "planted.csv").exists()


@pytest.mark.parametrize(
    "given",
    [
        {"name": "no spaces"},
        {"name": ""},
        {"above": None},
        {"below": 2.0},
        {"above": float("nan")},
        {"action": "delete"},
    ],
)
def test_a_watch_that_makes_no_sense_is_refused(small, given):
    with pytest.raises(SettingsError):
        watches.add(small, **{"name": "w", "sql": CHUNKS, "above": 1.0} | given)
    assert not small.exists("watches")


def test_one_of_that_name_is_not_replaced_unasked(small):
    watches.add(small, "w", CHUNKS, above=1)
    with pytest.raises(SettingsError, match="is there already"):
        watches.add(small, "w", CHUNKS, above=2)
    assert [watch.above for watch in watches.watches(small)] == [1]
    watches.add(small, "w", CHUNKS, below=2, action="reprocess", replace=True)
    [watch] = watches.watches(small)
    assert (watch.above, watch.below, watch.action, watch.revision) == (None, 2, "reprocess", 2)


def test_one_that_is_removed_can_be_set_again_and_its_checks_stay(small):
    watches.add(small, "w", CHUNKS, above=0)
    assert watches.check(small)[0].fires
    watches.remove(small, "w")
    assert watches.watches(small) == [] == watches.check(small)
    assert query.run(small, "FROM watches").num_rows == 0
    for name in ("w", "never"):
        with pytest.raises(SettingsError, match=f"no watch {name}; there is: none"):
            watches.remove(small, name)
        with pytest.raises(SettingsError, match=f"no watch {name}"):
            watches.check(small, [name])
    watches.add(small, "w", CHUNKS, above=5)
    assert asked(small, "SELECT count(*) FROM watch_checks WHERE watch = 'w'") == 1
    assert watches.last_checks(small) == {}  # of the new one there is none


def test_watches_take_turns_with_commits(small, monkeypatch):
    monkeypatch.setattr(lake, "LOCK_WAIT_S", 0.1)
    with Lake(small.root).locked(), pytest.raises(LakeBusy):
        watches.add(small, "w", CHUNKS, above=1)


# ---- when it fires ------------------------------------------------------------------------------


def test_it_fires_beyond_its_threshold_and_every_value_is_kept(small):
    watches.add(small, "many", CHUNKS, above=2)
    watches.add(small, "few", CHUNKS, below=2)
    found = []
    for number in (1, 2):
        found.append({c.watch.name: (c.value, c.fires) for c in watches.check(small)})
        small.commit(*chunk(number))
    found.append({c.watch.name: (c.value, c.fires) for c in watches.check(small, ["many"])})
    assert found == [
        {"few": (1.0, True), "many": (1.0, False)},
        {"few": (2.0, False), "many": (2.0, False)},
        {"many": (3.0, True)},
    ]
    kept = query.run(small, "SELECT watch, value, fires, seq FROM watch_checks ORDER BY ALL")
    assert [tuple(row.values()) for row in kept.to_pylist()] == [
        ("few", 1, True, 1),
        ("few", 2, False, 2),
        ("many", 1, False, 1),
        ("many", 2, False, 2),
        ("many", 3, True, 3),
    ]


def test_they_travel_with_the_lake(small, tmp_path):
    watches.add(small, "w", CHUNKS, above=0)
    watches.check(small)
    there = Lake(shutil.copytree(small.root, tmp_path / "elsewhere"))
    assert watches.watches(there) == watches.watches(small)
    assert watches.check(there)[0].fires
    assert asked(there, "SELECT count(*) FROM watch_checks") == 2


@pytest.mark.parametrize(
    "sql", ["SELECT avg(end_s) FROM segments WHERE false", "SELECT 'nan'::DOUBLE", "SELECT 0 / 0"]
)
def test_no_answer_fires_nothing(small, sql):
    for name, limit in (("over", {"above": -1e9}), ("under", {"below": 1e9})):
        assert watches.add(small, name, sql, **limit).value is None
    assert [(found.value, found.fires) for found in watches.check(small)] == [(None, False)] * 2


def test_one_that_fails_keeps_no_other_from_being_checked(small):
    sql = f"SELECT CASE WHEN ({CHUNKS}) > 1 THEN error('too many')::INT ELSE 1 END"
    watches.add(small, "a", sql, above=5)
    watches.add(small, "b", CHUNKS, above=1)
    small.commit(*chunk(1))
    first, second = watches.check(small)
    assert "too many" in first.error and not first.fires and first.value is None
    assert second.fires and second.error is None
    kept = query.run(small, "SELECT watch, fires, error FROM watch_checks ORDER BY watch")
    assert kept["fires"].to_pylist() == [None, True]
    assert "too many" in kept["error"][0].as_py()


def test_a_lake_without_watches_costs_nothing(small):
    there = sorted(small.root.rglob("*"))
    assert watches.check(small) == []
    assert sorted(small.root.rglob("*")) == there


# ---- who is told --------------------------------------------------------------------------------


def test_who_listens_is_told_when_it_begins_to_fire_and_then_every_day(small, monkeypatch):
    told: list[str] = []
    heard = True

    def announce(found: watches.Checked) -> bool:
        told.append(found.watch.name)
        return heard

    def look() -> tuple[list[str], list[bool]]:
        told.clear()
        announced = [found.announced for found in watches.check(small, announce=announce)]
        return told[:], announced

    watches.add(small, "few", CHUNKS, below=3)
    heard = False
    assert look() == (["few"], [False])
    heard = True
    assert look() == (["few"], [True])  # nobody had heard
    assert look() == look() == ([], [False])
    small.commit(*chunk(1))
    assert look() == ([], [False])  # it goes on
    monkeypatch.setattr(watches, "REMIND_S", 0.0)
    assert look() == (["few"], [True])  # a day later
    monkeypatch.undo()
    small.commit(*chunk(2))
    assert look() == ([], [False])  # quiet
    watches.add(small, "few", CHUNKS, below=4, replace=True)
    assert look() == (["few"], [True])  # another watch
    assert look() == ([], [False])


def test_it_is_told_again_after_it_was_quiet(small):
    watches.add(small, "even", f"SELECT ({CHUNKS}) % 2", below=1)
    told = []
    for number in range(1, 6):
        small.commit(*chunk(number))
        told += [c.announced for c in watches.check(small, announce=lambda found: True)]
        told += [c.announced for c in watches.check(small, announce=lambda found: True)]
    assert told == [True, False, False, False] * 2 + [True, False]


# ---- ready-made ---------------------------------------------------------------------------------


def test_presets_ask_what_they_say(sample):
    values = {
        "unsure": watches.preset_sql("unsure-share", "emotion"),
        "failures": watches.preset_sql("failure-rate", days=1000.5),
        "long ago": watches.preset_sql("failure-rate", days=1e-9),
        "drift": watches.preset_sql("label-drift", "gender", 0.5),
    }
    found = {name: watches.add(sample, f"w{i}", sql, above=2.0).value
             for i, (name, sql) in enumerate(values.items())}  # fmt: skip
    unsure = asked(sample, "SELECT count(*) FILTER (emotion IS NULL) / count(*) FROM speech")
    assert 0 < unsure < 1
    assert found == {"unsure": unsure, "failures": 3 / 20, "long ago": None, "drift": None}
    watches.require_attribute(sample, "gender")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("nothing",), "expected one of unsure-share, failure-rate, label-drift"),
        (("unsure-share",), "name one, such as gender"),
        (("label-drift",), "name one"),
        (("failure-rate", "gender"), "takes no attribute"),
        (("label-drift", "gender", 0), "expected a number over 0"),
        (("label-drift", "gender", float("inf")), "expected a number over 0"),
    ],
)
def test_a_preset_that_makes_no_sense_is_refused(given, why):
    with pytest.raises(SettingsError, match=why):
        watches.preset_sql(*given)


def test_an_attribute_that_nothing_was_asked_is_refused(sample, small):
    with pytest.raises(SettingsError, match=r"no attribute 'gendre'; it has .*gender"):
        watches.require_attribute(sample, "gendre")
    with pytest.raises(SettingsError, match="nothing is tagged in it yet"):
        watches.require_attribute(small, "gender")


def test_an_attribute_is_a_name_and_no_sql(sample):
    sql = watches.preset_sql("label-drift", "x') + error('hit") + " + 0"
    with pytest.raises(QueryError, match=r"drift\(x'\) \+ error\('hit, 7.0\): expected one of"):
        watches.add(sample, "w", sql, above=1)


@pytest.mark.parametrize("given", ["'gendr', 7", "'gender', 0", "'gender', -1"])
def test_a_drift_that_could_never_be_told_is_an_error(sample, given):
    with pytest.raises(QueryError, match=r"expected one of emotion, gender.*more than 0 days"):
        query.run(sample, f"SELECT label_drift({given})")


# ---- drift --------------------------------------------------------------------------------------


def stability(after: dict[str | None, int], before: dict[str | None, int]) -> float | None:
    """The index as its definition says, half a segment added to every label of either."""
    labels = [name for name in {**after, **before} if after.get(name, 0) + before.get(name, 0)]
    if not sum(after.values()) or not sum(before.values()):
        return None
    p, q = (np.array([counts.get(name, 0) + 0.5 for name in labels]) for counts in (after, before))
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((p - q) * np.log(p / q)))


def came(where: Lake, name: str, days_ago: float, labels: dict[str, list[str | None]]) -> None:
    """A recording that came to the lake so long ago, a segment for each label in the lists."""
    tables, _ = chunk(0, size=len(next(iter(labels.values()))))
    moved = {}
    for table, held in tables.items():
        for column in {"chunk_id", "uri", "content_hash", "segment_id"} & set(held.column_names):
            texts = [text.replace("chunk-0", name) for text in held[column].to_pylist()]
            at = held.column_names.index(column)
            held = held.set_column(at, held.schema.field(column), pa.array(texts))
        moved[table] = held
    for attribute, said in labels.items():
        ones = pa.array([1.0] * len(said), pa.float32())
        for column, values in (
            (attribute, pa.array(said, pa.string())),
            (f"{attribute}_p", ones),
            (f"{attribute}_margin", ones),
        ):
            moved["labels"] = moved["labels"].append_column(column, values)
    seq = int(days_ago * 1000)
    row = LEDGER | {
        "chunk_id": name, "seq": seq, "committed_at": datetime.now(UTC) - timedelta(days=days_ago)
    }  # fmt: skip
    with where.locked():
        for table, held in moved.items():
            where.append(table, held)
        where.append("runs", pa.Table.from_pylist([row], schemas.RUNS))


def test_drift_is_the_population_stability_index(tmp_path):
    """Against numpy, on attributes with labels that one span or both lack."""
    random, where = np.random.default_rng(5), Lake(tmp_path, create=True)
    sizes = {"new": 40, "newer": 25, "old": 90, "older": 30}
    names = ["calm", "tense", "sad", None]
    labels: dict[str, dict[str, list[str | None]]] = {name: {} for name in sizes}
    for number in range(8):
        for name, size in sizes.items():
            shares = random.dirichlet([0.3] * 4)  # most of them have a label that is never said
            labels[name][f"a{number:02}"] = [names[i] for i in random.choice(4, size, p=shares)]
    for name, days_ago in (("new", 1.0), ("newer", 6.9), ("old", 7.1), ("older", 15.0)):
        came(where, name, days_ago, labels[name])

    def counted(*spans: str) -> dict[str | None, int]:
        said = [label for span in spans for label in labels[span][attribute]]
        return {label: said.count(label) for label in names}

    infinite = 0
    with query.connect(where) as db:
        for attribute in labels["new"]:
            after, before = counted("new", "newer"), counted("old")  # what is older has no part
            infinite += any(bool(after[name]) != bool(before[name]) for name in names)
            sql = f"SELECT label_drift('{attribute}', {DAYS}), label_drift('{attribute}', 0.5)"
            found, none = db.execute(sql).fetchall()[0]
            assert found == pytest.approx(stability(after, before), rel=1e-9)
            assert none is None  # nothing came in the last half day
    assert infinite > 2


def test_the_same_shares_do_not_drift_and_others_do(tmp_path):
    where = Lake(tmp_path, create=True)
    came(where, "old", 10, {"same": ["a", "b"] * 50, "other": ["a"] * 100})
    came(where, "new", 3, {"same": ["a", "b"] * 50, "other": ["b"] * 100})
    assert asked(where, f"SELECT label_drift('same', {DAYS})") == pytest.approx(0, abs=1e-12)
    assert asked(where, f"SELECT label_drift('other', {DAYS})") > 5
    names = "(SELECT DISTINCT attribute FROM labels_long) t(a)"
    of_all = f"SELECT max(label_drift(a, {DAYS})) FROM {names}"
    assert asked(where, of_all) == asked(where, f"SELECT label_drift('other', {DAYS})")


def test_labels_made_anew_are_no_drift(tmp_path):
    """They are of old and new segments alike: `came` is when a segment was first here."""
    where = Lake(tmp_path, create=True)
    came(where, "old", 10, {"mood": ["a", "b"] * 10})
    came(where, "new", 3, {"mood": ["a", "b"] * 10})
    before = asked(where, f"SELECT label_drift('mood', {DAYS})")
    again = {}
    for name in ("recordings", "labels"):
        held = query.run(where, f"FROM {name}")
        for column, value in (("taxonomy_key", "t2"), ("chunk_id", "again")):
            at = held.column_names.index(column)
            held = held.set_column(at, column, pa.array([value] * len(held)))
        again[name] = held
    where.commit(again, LEDGER | {"chunk_id": "again", "files": 2})
    assert set(query.run(where, "SELECT taxonomy_key FROM speech")[0].to_pylist()) == {"t2"}
    assert asked(where, f"SELECT label_drift('mood', {DAYS})") == before == 0
