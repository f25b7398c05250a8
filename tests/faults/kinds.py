"""All kinds of faults. A new one is a function in the module of its subject, and its line here."""

from __future__ import annotations

from typing import Final

from tests.faults import of_broker, of_disk, of_processes
from tests.faults.fault import Fault

FAULTS: Final[tuple[Fault, ...]] = (
    Fault("kill", of_processes.kill, 4),
    Fault("kill-all", of_processes.kill_all, 2),
    Fault("user-at-points", of_processes.user_at_points, 5),
    Fault("item-at-points", of_processes.item_at_points, 2),
    Fault("trainer-at-points", of_processes.trainer_at_points, 2),
    Fault("all-at-points", of_processes.all_at_points, 5),
    Fault("clock", of_processes.clock, 3),
    Fault("producer-clock", of_processes.producer_clock, 2),
    Fault("stop-alone", of_processes.stop_alone, 1),
    Fault("zombie", of_processes.zombie, 2),
    Fault("impostor", of_processes.impostor, 1),
    Fault("scale", of_processes.scale, 2),
    Fault("rolling-restart", of_processes.rolling_restart, 1),
    Fault("broker-restart", of_broker.broker_restart, 2),
    Fault("broker-kill", of_broker.broker_kill, 2),
    Fault("cut", of_broker.cut, 2),
    Fault("state-deleted", of_disk.state_deleted, 1),
    Fault("file-deleted", of_disk.file_deleted, 2),
    Fault("file-truncated", of_disk.file_truncated, 2),
    Fault("table-bits-flipped", of_disk.table_bits_flipped, 2),
    Fault("bits-flipped", of_disk.bits_flipped, 2),
    Fault("disk-read-only", of_disk.disk_read_only, 1),
    Fault("disk-full", of_disk.disk_full, 1),
    Fault("input-truncated", of_broker.input_truncated, 1),
    Fault("changelog-truncated", of_broker.changelog_truncated, 1, last=True),
    Fault("poison", of_broker.poison, 2),
    Fault("giant", of_broker.giant, 1),
)
