"""Task stores on RocksDB, one directory a task, with little memory.

All rows lie in one column family, so that a write batch and a memtable flush are atomic over tables and positions.
Commits go through the write-ahead log without fsync. Measured: 0.8 ms per 1000 rows of 300 B, against 0.25 ms without
the log; for that a killed process loses nothing, and its restart reads no changelog again. A power cut loses a
suffix of whole commits, as recovery stops at the first torn record. Restoring bypasses the log, since the changelog
still has the rows, and is flushed before the next logged write: a log with a later position than the rows lost before
it would hide their loss. That nothing is missing from the middle is checked at each open (``state/segments.py``), which
is why memtables are changed here and not by RocksDB.

What cannot be read is found by RocksDB's checksums, at the open or by whichever read or compaction meets it. The
directory is then *condemned* by a file in it, as the process that met the damage ends: the next open refuses it at once
and does not have to meet the damage again.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DataBlockIndexType,
    DbClosedError,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from state.errors import StateCorrupt, StateError, StateLocked
from state.segments import FIRST, PREFIX, Segments, number_of
from state.settings import StateSettings
from state.store import TaskIdentity, TaskStore
from state.table import after_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from state.table import TableSpec

log = logging.getLogger(__name__)

#: The file that condemns a directory, with what was found.
CONDEMNED: Final = "CONDEMNED"

#: RocksDB's own limit of a memtable, in multiples of ours: reached only while the disk cannot keep up.
MEMTABLE_ROOM: Final = 2

#: With more files not yet merged RocksDB delays writes. A new memtable is one more.
UNMERGED_FILES: Final = 20


class RocksMemory:
    """The block cache that all stores of a process share. Make one at start-up."""

    def __init__(self, settings: StateSettings) -> None:
        self.block_cache = Cache(settings.block_cache_bytes)

    def size_bytes(self) -> int:
        """What the cache holds now."""
        return int(self.block_cache.get_usage())


class RocksBackend:
    """Rows in one RocksDB. Raises StateLocked, StateCorrupt or StateError for what RocksDB reports."""

    def __init__(self, path: Path, settings: StateSettings, memory: RocksMemory) -> None:
        self._path = path
        self._unlogged = WriteOptions()
        self._unlogged.disable_wal = True
        self._unflushed = False
        self._closed = False
        self._memtable_bytes = settings.write_buffer_bytes
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Named, so that our options hold when the column family exists already: rocksdict would otherwise take
            # those in the directory, which know of no shared cache.
            options = _options(settings, memory)
            self._db = Rdict(str(path), options, column_families={"default": options})
        try:
            self._segments = self._found()
        except BaseException:
            self._closed = True
            with suppress(Exception):  # RocksDB says at the close, too, what it met in the background
                self._db.close()
            raise

    def _found(self) -> Segments:
        # Not before the lock is ours: the caller is about to rename the directory.
        if (self._path / CONDEMNED).exists():
            why = _read(self._path / CONDEMNED)
            raise StateCorrupt(f"{self._path} was condemned by an earlier process, set it aside and rebuild ({why})")
        (first,) = self.read([FIRST])
        numbers = [number_of(key) for key, _ in self.scan(PREFIX, after_prefix(PREFIX))]
        return Segments(numbers, None if first is None else int(first))

    def read(self, keys: list[bytes]) -> list[bytes | None]:
        """Rows under physical keys, by one multi-get."""
        with _explained(self._path):
            rows: list[bytes | None] = self._db.get(keys)
        return rows

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows with start ≤ key < end, ascending, as of the moment the scan began."""
        bounds = ReadOptions()
        bounds.set_iterate_upper_bound(end)
        with _explained(self._path):
            # Not items(): that one ends quietly at a damaged block, while status() raises.
            rows = self._db.iter(bounds)
            rows.seek(start)
            while rows.valid():
                yield rows.key(), rows.value()
                rows.next()
            rows.status()

    def write(self, rows: Iterable[tuple[bytes, bytes | None]], *, logged: bool) -> None:
        """Apply rows in one batch."""
        batch = WriteBatch(raw_mode=True)
        _fill(batch, rows)
        with _explained(self._path):
            if logged:
                self._flush_unlogged()
            if self._full():
                if self._congested():
                    # RocksDB may change it now before any write: each is a segment of its own.
                    self._segments.close()
                else:
                    self._change_memtable(wait=False)
            opening = self._segments.opening()
            _fill(batch, opening)
            if logged:
                self._db.write(batch)
            else:
                self._unflushed = True
                self._db.write(batch, self._unlogged)
            self._segments.written(opening)

    def replace(self, rows: Sequence[tuple[bytes, bytes]], end: bytes) -> None:
        """Start over with ``rows``, in one batch."""
        batch = WriteBatch(raw_mode=True)
        batch.delete_range(b"", end)
        with _explained(self._path):
            self._flush_unlogged()
            opening = self._segments.anew()
            _fill(batch, [*opening, *rows])
            self._db.write(batch)
            self._segments.written(opening)

    def busy(self) -> bool:
        """Whether RocksDB would hold up a write now, and with it every thread, as rocksdict keeps the interpreter."""
        with _explained(self._path):
            if self._number("rocksdb.is-write-stopped") or self._number("rocksdb.actual-delayed-write-rate"):
                return True
            return self._full() and self._congested()

    def size_bytes(self) -> int:
        """RocksDB's estimate of live data, plus memtables."""
        with _explained(self._path):
            return self._number("rocksdb.estimate-live-data-size") + self._number("rocksdb.cur-size-all-mem-tables")

    def memory_bytes(self) -> dict[str, int]:
        """By RocksDB's own count; memtables that an open scan holds on to are among the buffers."""
        with _explained(self._path):
            return {
                "write_buffers": self._number("rocksdb.size-all-mem-tables"),
                "indexes": self._number("rocksdb.estimate-table-readers-mem"),
            }

    def close(self) -> None:
        """Flush what bypassed the log, and release the directory."""
        if self._closed:
            return
        self._closed = True
        with _explained(self._path):
            try:
                self._flush_unlogged()
            finally:
                self._db.close()

    def _flush_unlogged(self) -> None:
        if self._unflushed:
            self._change_memtable(wait=True)
            self._unflushed = False

    def _change_memtable(self, *, wait: bool) -> None:
        self._db.flush(wait)
        self._segments.close()

    def _full(self) -> bool:
        return self._number("rocksdb.cur-size-active-mem-table") >= self._memtable_bytes

    def _congested(self) -> bool:
        """Whether changing the memtable would wait for the one before to be written, or for files to be merged."""
        return bool(
            self._number("rocksdb.num-immutable-mem-table")
            or self._number("rocksdb.num-files-at-level0") >= UNMERGED_FILES - 1
        )

    def _number(self, name: str) -> int:
        return int(self._db.property_value(name) or 0)


def open_store(
    path: Path,
    tables: Sequence[TableSpec[Any]],
    identity: TaskIdentity,
    settings: StateSettings | None = None,
    memory: RocksMemory | None = None,
) -> TaskStore:
    """Open the state of a task under ``path``, made if absent.

    Raises StateLocked (held elsewhere: retry), StateForeign or StateCorrupt (``store.set_aside`` and rebuild),
    StateVersionError (made by another release), StateError (the disk failed). The directory is free again then.
    """
    settings = settings or StateSettings()
    backend = RocksBackend(path, settings, memory or RocksMemory(settings))
    try:
        return TaskStore(backend, tables, identity, settings.hot_rows_bytes)
    except BaseException:
        backend.close()
        raise


def _options(settings: StateSettings, memory: RocksMemory) -> Options:
    blocks = BlockBasedOptions()
    blocks.set_block_cache(memory.block_cache)
    # Index and filters stay with their open file, 4 B a row. In the block cache those of a large file do not fit one of
    # its 64 shards and are read anew by every get. Measured at 600,000 rows: 7 µs a key of a multi-get instead of 16,
    # and a single get took 263 µs.
    blocks.set_cache_index_and_filter_blocks(False)
    # A fifth off a multi-get of cached blocks, measured, for 1 % of their size.
    blocks.set_data_block_index_type(DataBlockIndexType.binary_and_hash())
    if settings.bloom_bits_per_key:
        blocks.set_bloom_filter(settings.bloom_bits_per_key, False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_write_buffer_size(MEMTABLE_ROOM * settings.write_buffer_bytes)
    options.set_level_zero_slowdown_writes_trigger(UNMERGED_FILES)
    options.set_max_write_buffer_number(settings.write_buffers)
    options.set_max_open_files(settings.max_open_files)
    options.set_max_background_jobs(settings.background_jobs)
    options.set_compression_type(DBCompressionType.lz4() if settings.compression == "lz4" else DBCompressionType.none())
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(1 << 20)
    options.set_stats_dump_period_sec(0)
    return options


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what rocksdict raises, a bare Exception with RocksDB's status text, into our errors."""
    try:
        yield
    except DbClosedError as error:
        raise StateError("the store is closed") from error
    except StateError:
        raise
    except OSError as error:
        raise StateError(f"{path}: {error}") from error
    except Exception as error:
        text = str(error)
        low = text.replace(str(path.parent), "").lower()
        if "lock" in low and ("while lock file" in low or "lock hold by" in low):
            raise StateLocked(f"{path} is held by another store: retry, or stop the other process ({text})") from error
        if "corruption" in low or "no such file" in low or "checksum" in low:
            _condemn(path, text)
            raise StateCorrupt(
                f"{path} cannot be read: set it aside and rebuild from the changelogs ({text})"
            ) from error
        raise StateError(f"{path}: {text}") from error


def _condemn(path: Path, why: str) -> None:
    """Say in the directory that it is damaged; the first finding stays."""
    try:
        with suppress(FileExistsError), (path / CONDEMNED).open("x") as file:
            file.write(why)
    except OSError as error:
        log.warning("%s is damaged (%s), which could not be noted in it: %s", path, why, error)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        return str(error)


def _fill(batch: WriteBatch, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
    put, delete = batch.put, batch.delete
    for key, row in rows:
        if row is None:
            delete(key)
        else:
            put(key, row)
