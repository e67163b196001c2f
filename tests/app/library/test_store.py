"""The style library, on SQLite and on a real PostgreSQL."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sql

from app.errors import ServiceError
from app.library import store
from app.library.database import FILE, Database
from app.library.store import Starter, StyleLibrary, schema, styles_table
from app.starter import PAINTINGS, starters
from model.errors import ParameterError
from tests import postgres
from tests.pictures import difference, encoded, noise, painting, plain_style

WEIGHTS = "weights"


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory):
    with postgres.running(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / FILE}"
    server = request.getfixturevalue("postgres_url")
    name = f"test_{uuid.uuid4().hex}"
    engine = sql.create_engine(
        server.replace("postgresql", "postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return server.rpartition("/")[0] + f"/{name}"


@pytest.fixture
def open_library():
    """Open libraries, and close them at the end."""
    opened = []

    def open_library(url, capacity=1000, starters=tuple):
        opened.append(StyleLibrary(Database(url, Path("/nowhere")), capacity, starters))
        return opened[-1]

    yield open_library
    for library in opened:
        library.close()


@pytest.fixture
def library(url, open_library):
    return open_library(url)


def code_of(call, *arguments):
    """The code of the error that a call raises."""
    with pytest.raises(ServiceError) as error:
        call(*arguments)
    return error.value.code


def test_a_saved_style_is_found_again_by_another_process(library, url, open_library):
    style = library.add("Night", painting())
    other = open_library(url)
    assert other.get(style.id) == style
    assert other.find("Night") == other.find(style.id) == style
    assert difference(other.picture(style.id), painting()) == 0
    assert other.thumbnail(style.id)[8:12] == b"WEBP"
    assert style.created.utcoffset().total_seconds() == 0


def test_pictures_are_kept_in_the_largest_size_that_a_style_is_seen_in(library):
    assert library.picture(library.add("a", noise(1500, 1200)).id).size == (1280, 1024)
    assert library.picture(library.add("b", noise(50, 6000)).id).size == (34, 4096)
    assert library.picture(library.add("c", noise(1, 1)).id).size == (1, 1)


@pytest.mark.parametrize("name", ["a", "x" * 80, "夜の空", "ليل", "🌌", "Été à Nîmes", "../../etc"])
def test_names_of_any_script(library, name):
    assert library.add(name, painting()).name == name


def test_names_are_trimmed_and_composed(library):
    assert library.add("  Cafe\u0301 \n au   lait ", painting()).name == "Caf\u00e9 au lait"


@pytest.mark.parametrize(
    "name", ["", "  ", "x" * 81, "a\0b", "a\x1b[0m", "\ud800", "\u200b", "\uffff"]
)
def test_what_is_no_name(library, name):
    with pytest.raises(ParameterError):
        library.add(name, painting())
    assert library.page(10) == []


@pytest.mark.parametrize("name", ["Night", "night", " NIGHT ", "Ｎｉｇｈｔ"])  # noqa: RUF001
def test_no_two_styles_share_a_name(library, name):
    style = library.add("Night", painting())
    other = library.add("Day", painting())
    assert code_of(library.add, name, painting()) == "name-taken"
    assert code_of(library.rename, other.id, name) == "name-taken"
    assert library.page(10) == [style, other]


def test_a_rename_keeps_id_place_and_encoded_style(library):
    first, second = library.add("a", painting()), library.add("b", painting())
    library.keep(first.id, 64, plain_style(1.0))
    renamed = library.rename(first.id, "c")
    assert renamed.name == "c"
    assert [s.id for s in library.page(10)] == [first.id, second.id]
    assert library.encoded(first.id, 64, WEIGHTS) is not None
    assert library.rename(first.id, "C").name == "C", "its own name in another case is free"


@pytest.mark.parametrize("id", ["", "nothing", "a\0b", "\ud800", "x" * 10**6, "0" * 16])
def test_what_is_no_id(library, id):
    library.add("a", painting())
    for use in (library.get, library.find, library.picture, library.thumbnail):
        assert code_of(use, id) == "unknown-style"
    assert code_of(library.rename, id, "b") == "unknown-style"
    assert library.remove(id) is False


def test_deleting_is_idempotent_and_frees_the_name(library):
    first = library.add("a", painting())
    library.keep(first.id, 64, plain_style(1.0))
    assert library.remove(first.id) is True
    assert library.remove(first.id) is False
    for use in (library.get, library.thumbnail, library.picture):
        assert code_of(use, first.id) == "unknown-style"
    assert code_of(library.encoded, first.id, 64, WEIGHTS) == "unknown-style"
    library.keep(first.id, 64, plain_style(1.0))  # computed while it was being deleted
    again = library.add("a", painting())
    assert again.number > first.number
    assert library.encoded(again.id, 64, WEIGHTS) is None


def test_pages_are_stable_while_styles_come_and_go(library):
    styles = [library.add(f"style {i}", painting()) for i in range(5)]
    first = library.page(2)
    assert first == styles[:2]
    library.remove(styles[0].id)
    library.remove(styles[1].id)
    added = library.add("late", painting())
    rest = library.page(2, first[-1].number) + library.page(9, styles[3].number)
    assert rest == [*styles[2:], added]


def test_an_encoded_style_comes_back_for_the_same_size_and_weights_alone(library):
    saved = library.add("a", painting())
    assert library.encoded(saved.id, 64, WEIGHTS) is None
    library.keep(saved.id, 64, plain_style(1.0))
    library.keep(saved.id, 64, plain_style(1.0))  # as a second replica does
    kept = library.encoded(saved.id, 64, WEIGHTS)
    assert kept.to_bytes() == plain_style(1.0).to_bytes()
    assert library.encoded(saved.id, 65, WEIGHTS) is None
    assert library.encoded(saved.id, 64, "f" * 64) is None


def test_damaged_styles_are_encoded_anew(library):
    saved = library.add("a", painting())
    library.keep(saved.id, 64, plain_style(1.0))
    with library.database.write() as connection:
        connection.execute(schema.tables["statistics"].update().values(statistics=b"damaged"))
    assert library.encoded(saved.id, 64, WEIGHTS) is None
    library.keep(saved.id, 64, plain_style(1.0))
    assert library.encoded(saved.id, 64, WEIGHTS) is not None


def test_a_full_library_says_how_many_it_takes(url, open_library):
    library = open_library(url, capacity=1)
    style = library.add("a", painting())
    assert code_of(library.add, "b", painting()) == "library-full"
    library.remove(style.id)
    library.add("b", painting())


def test_a_starter_that_is_practised_is_so_in_a_new_library(url, open_library):
    practised = replace(plain_style(0.5, WEIGHTS), detail=0.25)
    begun = [
        Starter("a", encoded(painting()), practised.to_bytes()),
        Starter("b", encoded(painting())),
    ]
    library = open_library(url, starters=lambda: begun)
    first, second = library.page(10)
    assert (first.practised, second.practised) == (True, False)
    assert library.encoded(first.id, 512, WEIGHTS).to_bytes() == practised.to_bytes()
    assert library.encoded(first.id, 64, WEIGHTS) is None
    assert library.encoded(second.id, 512, WEIGHTS) is None


def test_starters_of_before_are_practised_as_those_of_now(url, open_library):
    old, new = (plain_style(mean, WEIGHTS).to_bytes() for mean in (0.25, 0.5))
    pictures = [encoded(painting(seed=seed)) for seed in range(4)]
    before = [Starter(*each) for each in zip("abcd", pictures, (old, None, old, old), strict=True)]
    now = [Starter(*each) for each in zip("abcd", pictures, (new, new, new, None), strict=True)]
    library = open_library(url, starters=lambda: before)
    a, b, c, d = library.page(10)
    library.rename(a.id, "mine now")
    library.remove(c.id)
    own = library.add("a", painting(seed=0))
    later = open_library(url, starters=lambda: now)
    assert [style.name for style in later.page(10)] == ["mine now", "b", "d", "a"]
    for style, file in ((a, new), (b, new), (d, old)):
        assert later.encoded(style.id, 512, WEIGHTS).to_bytes() == file
    assert later.encoded(own.id, 512, WEIGHTS) is None


def test_a_library_that_cannot_be_brought_up_to_date_is_read(url, open_library, monkeypatch):
    picture, style = encoded(painting()), plain_style(0.5, WEIGHTS).to_bytes()
    open_library(url, starters=lambda: [Starter("a", picture)]).prepare()
    later = open_library(url, starters=lambda: [Starter("a", picture, style)])

    def refuse(*_):
        raise ServiceError("library-full", "the disk of the style library is full")

    monkeypatch.setattr(store, "insert_practised", refuse)
    [kept] = later.page(10)
    assert not kept.practised


def test_a_new_library_has_the_starters_and_deleted_ones_stay_deleted(url, open_library):
    library = open_library(url, starters=starters)
    assert [style.name for style in library.page(100)] == [each.name for each in PAINTINGS]
    assert len(PAINTINGS) >= 8
    for style in library.page(100)[1:]:
        library.remove(style.id)
    assert len(open_library(url, starters=starters).page(100)) == 1


def test_a_library_of_another_version_is_left_alone(library, url, open_library):
    library.prepare()
    with library.database.write() as connection:
        connection.execute(schema.tables["library"].update().values(version=2))
    other = open_library(url)
    assert code_of(other.page, 1) == "library-unavailable"


def test_many_threads_save_at_once(library):
    """Eight writers want ten names: each is saved once, and nobody waits forever."""

    def save(i):
        try:
            return library.add(f"style {i % 10}", painting()).name
        except ServiceError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(save, range(40)))
    assert sorted(r for r in results if r != "name-taken") == [f"style {i}" for i in range(10)]
    assert len(library.page(100)) == 10


def save_in_a_process(url, start, names, results):
    library = StyleLibrary(Database(url, Path("/nowhere")), 1000, starters)
    start.wait()
    results.put([add_when_free(library, name) for name in names])
    library.close()


def add_when_free(library, name):
    """Save a style; a library that is busy is asked again, as its answer says."""
    for _ in range(10):
        try:
            return library.add(name, painting()).name
        except ServiceError as error:
            if error.code != "library-busy":
                raise
    raise AssertionError(name)


@pytest.mark.slow
def test_many_processes_begin_and_save_at_once(url, open_library):
    """The tables are laid once, the starters come once, and no save is lost."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(4), context.Queue()
    names = [[f"{process}-{i}" for i in range(10)] for process in range(4)]
    processes = [
        context.Process(target=save_in_a_process, args=(url, start, each, results))
        for each in names
    ]
    for process in processes:
        process.start()
    saved = [results.get(timeout=180) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(saved) == names
    assert len(open_library(url).page(100)) == 40 + len(PAINTINGS)


ENDLESS_WRITER = """
import sys
from pathlib import Path
from app.library.database import Database
from app.library.store import StyleLibrary
from tests.pictures import noise
library = StyleLibrary(Database(sys.argv[1], Path("/nowhere")), 10**6)
for i in range(10**6):
    print(library.add(f"style {i}", noise(300, 300)).id, flush=True)
"""


@pytest.mark.slow
def test_a_killed_writer_loses_no_style_that_it_had_saved(url, open_library):
    writer = subprocess.Popen(
        [sys.executable, "-c", ENDLESS_WRITER, url], stdout=subprocess.PIPE, text=True
    )
    saved = [writer.stdout.readline().strip() for _ in range(20)]
    time.sleep(0.013)
    os.kill(writer.pid, signal.SIGKILL)
    saved += [line.strip() for line in writer.communicate()[0].splitlines()]
    library = open_library(url)
    listed = {style.id for style in library.page(1000)}
    assert {each for each in saved if len(each) == 16} <= listed
    for each in listed:
        assert library.picture(each).size == (300, 300)
    library.add("after", painting())


# What only SQLite, or only PostgreSQL, does.


@pytest.fixture
def sqlite_library(tmp_path, open_library):
    library = open_library(f"sqlite:///{tmp_path / FILE}")
    library.add("a", painting())
    return library


@pytest.mark.slow
def test_a_library_held_by_another_writer_is_busy_and_can_be_read(sqlite_library, monkeypatch):
    holder = sqlite3.connect(sqlite_library.database.place, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    assert code_of(sqlite_library.add, "b", painting()) == "library-busy"
    assert 3 < time.monotonic() - begun < 15
    assert len(sqlite_library.page(10)) == 1
    holder.execute("ROLLBACK")
    holder.close()
    sqlite_library.add("b", painting())


def test_a_short_wait_for_another_writer_is_waited(sqlite_library):
    holder = sqlite3.connect(
        sqlite_library.database.place, isolation_level=None, check_same_thread=False
    )
    holder.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.5, holder.execute, ["COMMIT"])
    timer.start()
    sqlite_library.add("b", painting())
    timer.join()
    holder.close()


def test_a_full_disk_keeps_what_was_saved(sqlite_library):
    """SQLite answers a limit on its pages as it answers a full disk."""
    engine = sqlite_library.database.engine

    def limit(connection, _):
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 10}")

    engine.dispose()
    sql.event.listen(engine, "connect", limit)
    assert code_of(sqlite_library.add, "big", noise(500, 500)) == "library-full"
    assert [style.name for style in sqlite_library.page(10)] == ["a"]
    assert difference(sqlite_library.picture(sqlite_library.find("a").id), painting()) == 0
    sql.event.remove(engine, "connect", limit)
    engine.dispose()
    sqlite_library.add("big", noise(500, 500))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_a_really_full_disk(tmp_path, open_library):
    """A 1 MiB file system, where the user may make one."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("NOT TESTED ON A FULL DISK: no file system can be mounted here")
    try:
        library = open_library(f"sqlite:///{mount / FILE}")
        saved = library.add("a", painting())
        assert code_of(library.add, "big", noise(700, 700)) == "library-full"
        assert library.page(10) == [saved]
        library.remove(saved.id)
        library.add("b", painting())
        library.database.close()
    finally:
        subprocess.run(["umount", mount], check=True)


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b""])
def test_a_file_that_is_no_database(tmp_path, open_library, damage, caplog):
    (tmp_path / FILE).write_bytes(damage)
    library = open_library(f"sqlite:///{tmp_path / FILE}")
    if damage:
        assert code_of(library.page, 1) == "library-unavailable"
        assert str(tmp_path) in caplog.text, "the log names the file"
        assert (tmp_path / FILE).read_bytes() == damage, "and nothing is overwritten"
        (tmp_path / FILE).unlink()
    assert library.page(1) == [], "it is tried again at the next use"


def test_a_damaged_page_is_told_and_not_written_over(sqlite_library):
    for i in range(20):
        sqlite_library.add(f"style {i}", noise(64, 64, seed=i))
    sqlite_library.database.close()
    file = Path(sqlite_library.database.place)
    data = bytearray(file.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = os.urandom(64)
    file.write_bytes(data)
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    assert code_of(sqlite_library.page, 100) == "library-unavailable"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    library = StyleLibrary(Database(None, tmp_path / "file" / "folder"), 10)
    assert code_of(library.page, 1) == "library-unavailable"


@pytest.mark.slow
def test_a_postgresql_server_that_is_away_and_comes_back(tmp_path, open_library):
    with postgres.running(tmp_path) as url:
        library = open_library(url)
        style = library.add("a", painting())
        with library.database.engine.connect() as connection:
            kill = sql.text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            connection.execute(kill)
        assert library.page(10) == [style], "a lost connection costs no request"
    assert code_of(library.page, 1) == "library-unavailable"


@pytest.mark.parametrize(
    "url", ["mysql://user:secret@host/db", "no url", "sqlite://", "sqlite:///:memory:"]
)
def test_a_url_that_is_of_no_use_is_refused_without_showing_it(url):
    with pytest.raises(ServiceError, match="ADAIN_DATABASE_URL") as error:
        Database(url, Path("/nowhere"))
    assert "secret" not in str(error.value)


def test_no_message_shows_a_password(caplog):
    library = StyleLibrary(Database("postgresql://user:secret@127.0.0.1:1/db", Path("/")), 10)
    with pytest.raises(ServiceError) as error:
        library.page(1)
    assert error.value.code == "library-unavailable"
    assert "127.0.0.1:1" in caplog.text
    assert "secret" not in caplog.text + str(error.value)


def test_the_listing_reads_no_pictures(library):
    assert {"picture", "thumbnail"} <= set(styles_table.c.keys())
    library.add("a", painting())
    queries = []
    sql.event.listen(
        library.database.engine, "before_cursor_execute", lambda *a: queries.append(a[2])
    )
    library.page(10)
    assert queries
    assert not any("picture" in query or "thumbnail" in query for query in queries)


def test_encoded_styles_of_several_styles_do_not_mix(library):
    saved = [library.add(name, painting()) for name in "ab"]
    for value, each in enumerate(saved):
        library.keep(each.id, 64, plain_style(float(value)))
    kept = [library.encoded(each.id, 64, WEIGHTS).taps[0].mean[0, 0, 0, 0] for each in saved]
    assert kept == [0.0, 1.0]


def test_a_library_of_the_version_before_opens_and_its_styles_are_encoded_anew(tmp_path, stylizer):
    """The file was written by version 0.1.0: two styles with statistics of relu4_1 alone."""
    before = Path(__file__).parents[1] / "data" / "library-of-0.1.0.sqlite3"
    (tmp_path / FILE).write_bytes(before.read_bytes())
    library = StyleLibrary(Database(None, tmp_path), 10)
    saved = library.page(10)
    assert [each.name for each in saved] == ["Slanted strokes", "Other strokes"]
    assert difference(library.picture(saved[0].id), painting(64, 1)) == 0
    assert library.encoded(saved[0].id, 64, stylizer.fingerprint) is None
    style = stylizer.encode_style(library.picture(saved[0].id), style_size=64)
    library.keep(saved[0].id, 64, style)
    kept = library.encoded(saved[0].id, 64, stylizer.fingerprint)
    assert kept.to_bytes() == style.to_bytes()
    library.close()
