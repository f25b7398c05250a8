"""Settings: where they come from, which wins, and what is said when they cannot be used."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from agents.settings import KafkaSettings, RuntimeSettings, WebSettings
from streamer.core.effects import Experiment
from streamer.core.encode import CANDIDATE_BYTES, candidate
from streamer.core.settings import MOST_ITEMS, PolicySettings
from streamer.settings import Settings, SettingsError, flags, leaves, load, read
from streamer.settings_docs import field_docs, page
from tests.core import outgoing

ROOT = Path(__file__).parent.parent


def problems(**how) -> list[str]:
    how.setdefault("check_files", False)
    with pytest.raises(SettingsError) as caught:
        load(**how)
    return caught.value.problems


@pytest.fixture
def file(tmp_path):
    def write(text: str) -> Path:
        path: Path = tmp_path / "streamer.toml"
        path.write_text(text)
        return path

    return write


def test_without_any_source_every_setting_has_its_default():
    """Nothing has to be set to start on a laptop."""
    assert load(check_files=False) == Settings()


def test_a_flag_overrules_the_environment_which_overrules_the_file(file):
    """The nearer to the person at the keyboard, the stronger."""
    config = file("[web]\nport = 1001\nhost = '127.0.0.2'\n[kafka]\nbootstrap = 'file:1'\n")
    env = {"STREAMER_WEB__PORT": "1002", "STREAMER_KAFKA__BOOTSTRAP": "env:1"}
    settings = load(config, env, {"web.port": "1003"}, check_files=False)
    assert (settings.web.port, settings.kafka.bootstrap, settings.web.host) == (1003, "env:1", "127.0.0.2")


def test_a_nested_section_is_reached_from_all_three_sources(file):
    """Sections nest as deep as the dataclasses do."""
    config = file("[core.policy]\nper_hour = 2\n")
    env, overrides = {"STREAMER_CORE__POLICY__PER_DAY": "9"}, flags(["core.policy.score_threshold=0.5"])
    policy = load(config, env, overrides, check_files=False).core.policy
    assert (policy.per_hour, policy.per_day, policy.score_threshold) == (2, 9, 0.5)


def test_every_setting_can_be_given_by_its_environment_name():
    """Writing each default back through the environment changes nothing."""
    env = {
        setting.env: "" if setting.default is None else str(setting.default)
        for setting in leaves()
        if not isinstance(setting.default, (tuple, frozenset, dict))
    }
    assert len(env) > 30
    assert load(env=env, check_files=False) == Settings()


def test_environment_names_are_unique():
    """No two settings share a variable."""
    names = [setting.env for setting in leaves()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[runtim]\nx = 1", "did you mean runtime?"),
        ("[kafka]\nbootstrp = 'a:1'", "did you mean bootstrap?"),
        ("[web]\nport = '80'", "'80' is not a whole number"),
        ("[web]\nport = true", "True is not a whole number"),
        ("[web]\nhost = 1", "1 is not text"),
        ("[core.policy]\nscore_threshold = nan", "not a finite number"),
        ("[core.learning]\npromotion_by = 'sales'", "is none of rank, loss"),
        ("[core.policy]\nper_hour = 1.5", "1.5 is not a whole number"),
        ("[core.policy]\nmin_gap_ms = -1", "is negative"),
        ("[core.policy]\nrank_rate = 1.5", "choose between 0 and 1"),
        ("[core.policy]\nscore_threshold = 2", "2 is no probability: choose between 0 and 1"),
        ("[core.policy]\nscore_threshold = -0.1", "-0.1 is no probability: choose between 0 and 1"),
        ("[core.policy]\nquiet_hours = ['22:00']", "quiet_hours: 1 of them: write two local times"),
        ("[core.policy]\nquiet_hours = ['22:00', '8']", "quiet_hours: '8' is not HH:MM: write two local times"),
        ("[core.policy]\ntime_zone = 'Europe/Berln'", "there is no such zone; did you mean Europe/Berlin?"),
        ("web = 3", "write [web]"),
        ("[runtime]\nguarantee = 'once'", "is none of exactly_once, at_least_once"),
        ("[runtime]\ndata_dir = 1", "is not a path"),
        ("[web", "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_what_is_wrong(file, text, said):
    """One problem, one line, with the words to mend it."""
    [problem] = problems(config=file(text))
    assert said in problem


@pytest.mark.parametrize(
    ("section", "fields", "said"),
    [
        ("runtime", {"progress_timeout_s": "10"}, "session_timeout_s"),
        ("runtime", {"commit_interval_ms": "6000"}, "choose at most 5000"),
        ("runtime", {"transaction_timeout_ms": "60000"}, "choose between 1000 and 10000"),
        ("runtime", {"target_batch_ms": "200"}, "commit_interval_ms"),
        ("runtime", {"buffer_records": "10"}, "max_batch_events"),
        ("kafka", {"bootstrap": "localhost"}, "write host:port"),
        ("kafka", {"bootstrap": "a:1, b:99999"}, "'b:99999'"),
        ("kafka", {"sasl_username": "me"}, "choose SASL_SSL"),
        ("kafka", {"ssl_cafile": "/ca.pem"}, "choose SSL or SASL_SSL"),
        ("web", {"port": "70000"}, "choose between 0 and 65535"),
        ("state", {"max_open_files": "1"}, "at least 16"),
        ("core.learning", {"model": "deep"}, "model: 'deep' is none of logistic, listwise"),
        ("core.learning", {"learning_rate": "0"}, "learning_rate must be above 0"),
        ("core.learning", {"clip": "-1"}, "clip must be above 0"),
        ("core.learning", {"challenger_every": "0"}, "challenger_every must be above 0"),
        ("core.learning", {"l2": "-0.1"}, "l2 must be at least 0"),
        ("core.learning", {"challengers": "deep"}, "challengers: 'deep' is none of logistic, listwise"),
        ("core.learning", {"challengers": "fm,fm"}, "name each kind once"),
        ("core.learning", {"model": "fm", "challengers": "fm"}, "and not the champion's"),
        ("core.learning", {"promotion_alpha": "1"}, "promotion_alpha must be below 1"),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_a_way_out(section, fields, said):
    """Each layer's own checks are reported under its section."""
    [problem] = problems(overrides={f"{section}.{name}": value for name, value in fields.items()})
    assert problem.startswith(f"[{section}]")
    assert said in problem


SENSELESS = [
    ("per_hour", -1, "per_hour must be at least 0, not -1"),
    ("per_day", -1, "per_day must be at least 0, not -1"),
    ("per_week", -1, "per_week must be at least 0, not -1"),
    ("category_per_day", -1, "category_per_day must be at least 0, not -1"),
    ("dismissal_doublings", -1, "dismissal_doublings must be at least 0, not -1"),
    ("dismissal_doublings", 21, "dismissal_doublings must be at most 20, not 21"),
    ("expiry_ms", 0, "expiry_ms must be at least 1, not 0"),
    ("pool_items", 0, "pool_items must be at least 1, not 0"),
    ("slate_items", 0, "slate_items must be at least 1, not 0"),
    ("slate_items", 21, "slate_items must be at most 20, not 21"),
    ("fatigue_bits", -0.5, "fatigue_bits must be at least 0, not -0.5"),
    ("deep_link", "app://i/{item", "deep_link = 'app://i/{item': expected '}'"),
    ("deep_link", "app://i/item}", "deep_link = 'app://i/item}': Single '}'"),
    ("deep_link", "app://i/{sku}", "there is no {sku}: write {item} and {campaign}"),
    ("deep_link", "app://i/{}", "there is no {}: write {item} and {campaign}"),
    ("deep_link", "app://i/{item.id}", "there is no {item.id}: write"),
    ("deep_link", "app://i/{item[0]}", "there is no {item[0]}: write"),
    ("deep_link", "app://i/{item:{campaign}}", "there is no {item:{campaign}}: write"),
    ("deep_link", "app://i/{item:d}", "Unknown format code 'd'"),
]
"""Settings of the policy with which nothing could be sent, or the first push would fail, and what is said of them."""


@pytest.mark.parametrize(("name", "value", "said"), SENSELESS)
def test_a_policy_that_cannot_be_is_refused_at_the_start(name, value, said):
    """Not by the first push, which would fail again after each restart."""
    [problem] = problems(overrides={f"core.policy.{name}": value})
    assert problem.startswith("[core.policy]")
    assert said in problem


@pytest.mark.parametrize(("name", "value", "said"), [*SENSELESS, ("score_threshold", 2.0, "is no probability")])
def test_an_arm_may_not_have_what_the_policy_may_not(name, value, said, tmp_path):
    """Also where nobody is in it; file, arm and setting are told."""
    change = f"set = {{ {name} = {value!r} }}"
    (tmp_path / "bold.toml").write_text(f"[arms.as-now]\nshare = 0.5\n[arms.bolder]\nshare = 0.5\n{change}\n")
    [problem] = problems(overrides={"campaigns.experiments": str(tmp_path)})
    assert problem.startswith(f"{tmp_path / 'bold.toml'}: arms.bolder.set")
    assert said in problem


def test_all_that_cannot_be_in_a_policy_or_its_arms_is_told_at_once(tmp_path):
    """One line each."""
    told = problems(overrides={"core.policy.per_day": -1, "core.policy.pool_items": 0, "core.policy.deep_link": "{"})
    assert [line.split()[1] for line in told] == ["per_day", "pool_items", "deep_link"]
    arms = (
        "[arms.a]\nshare = 0.5\nset = { per_day = -1 }\n[arms.b]\nshare = 0.5\nset = { per_day = -1, expiry_ms = 0 }\n"
    )
    (tmp_path / "bold.toml").write_text(arms)
    told = problems(overrides={"campaigns.experiments": str(tmp_path)})
    assert [line.split()[1:3] for line in told] == [
        ["arms.a.set:", "per_day"],
        ["arms.b.set:", "per_day"],
        ["arms.b.set:", "expiry_ms"],
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"per_hour": 0, "per_day": 0, "per_week": 0, "category_per_day": 0, "dismissal_doublings": 0},
        {"per_hour": 10**6, "per_day": 10**6, "dismissal_doublings": 20, "expiry_ms": 1, "pool_items": 1},
        {"score_threshold": 0.0, "least_worth": -1e9, "min_gap_ms": 0, "repeat_window_ms": 0, "slate_items": 1},
        {"score_threshold": 1.0, "slate_items": 20, "explore_items": 1000, "fatigue_bits": 0.0},
        {"deep_link": "https://shop.example/{campaign}/{item:.8}?{{q}}={item}"},
        {"deep_link": "app://home"},
    ],
)
def test_the_ends_of_what_a_policy_may_be_are_accepted(values):
    """0 sends none, or is no cap; a threshold of 0 lets everything through."""
    policy = load(overrides={f"core.policy.{name}": value for name, value in values.items()}, check_files=False)
    assert all(getattr(policy.core.policy, name) == value for name, value in values.items())


def test_a_push_of_as_many_items_as_there_may_be_fits_a_candidate():
    """With ids as long as a UUID, in letters that take most in a link, the longest names, and words that are cut."""
    identity, name = "ü" * 18, "n" * 32
    sent = outgoing.candidate(
        user=identity,
        event_id=identity,
        items=(identity,) * MOST_ITEMS,
        words=dict.fromkeys(("title", "category", "brand", "price", "price_was", "discount"), "\x01" * 500),
        reasons=("often viewed with " + "靴" * 500,) * 3,
    )
    sent = msgspec.structs.replace(
        sent,
        campaign=name,
        collapse_key=name,
        deep_link=PolicySettings().deep_link.format(item=quote(identity), campaign=name),
        experiments=(Experiment(name, name),) * 2,
        contributions=(-12.123456,) * 4,
    )
    assert len(candidate(sent)) <= CANDIDATE_BYTES


@pytest.mark.parametrize(
    ("setting", "known"), [("without", "covisitation"), ("without_features", "price_distance"), ("model", "listwise")]
)
def test_a_worker_told_a_name_that_nothing_has_ends_at_its_start_and_says_which_there_are(setting, known, tmp_path):
    """With the code that tells a supervisor not to try again; before it looks for a broker."""
    section = "learning" if setting == "model" else "retrieval"
    chosen = f"core.{section}.{setting}={known if setting != 'model' else 'logistic'},deep"
    where = ["--set", f"runtime.data_dir={tmp_path}", "--set", chosen]
    command = [sys.executable, "-m", "streamer.cli.main", "worker", "--role", "item", *where]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    [line] = [line for line in done.stderr.splitlines() if "deep" in line]
    assert "is none of" in line
    assert known in line
    assert "Traceback" not in done.stderr


def test_all_names_to_leave_out_that_nothing_has_are_told_at_once():
    """A generator's name is no feature's, and the other way round."""
    told = problems(overrides={"core.retrieval.without": "a,trending,b", "core.retrieval.without_features": "c,price"})
    assert [line.partition(" is none of ")[0] for line in told] == [
        "core.retrieval.without: 'a'",
        "core.retrieval.without: 'b'",
        "core.retrieval.without_features: 'c'",
    ]


def test_all_problems_are_reported_at_once(file):
    """Nobody wants to mend a file one line a start."""
    told = problems(
        config=file("[web]\nprt = 1\n[runtime]\nguarantee = 'x'\n"),
        env={"STREAMER_STATE__WRITE_BUFFERS": "many"},
        overrides={"kafka.bootstrap": "nowhere", "log.levl": "INFO"},
    )
    assert len(told) == 5
    assert "5 problems" in str(SettingsError(told))


def test_a_variable_with_one_underscore_too_few_is_noticed():
    """It would otherwise be ignored in silence."""
    [problem] = problems(env={"STREAMER_WEB_PORT": "1"})
    assert "STREAMER_WEB__PORT" in problem


def test_variables_an_orchestrator_adds_are_left_alone():
    """A Kubernetes service named streamer puts these into every pod."""
    env = {"STREAMER_SERVICE_HOST": "10.0.0.1", "STREAMER_PORT_9464_TCP": "tcp://10.0.0.1:9464", "PATH": "/bin"}
    assert load(env=env, check_files=False) == Settings()


def test_a_flag_without_a_value_is_told_its_form():
    """`--set web.port` is a slip."""
    with pytest.raises(SettingsError, match="write section"):
        flags(["web.port"])


def test_a_flag_may_hold_an_equals_sign_in_its_value():
    """Only the first one divides."""
    assert flags(["core.policy.deep_link=app://x?i={item}"]) == {"core.policy.deep_link": "app://x?i={item}"}


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path):
    """A file is in the way."""
    (tmp_path / "file").write_text("")
    [problem] = problems(overrides={"runtime.data_dir": str(tmp_path / "file" / "state")}, check_files=True)
    assert "is not a directory" in problem


def test_a_data_directory_still_to_be_made_is_accepted(tmp_path):
    """And checking it makes nothing."""
    load(overrides={"runtime.data_dir": tmp_path / "a" / "b"})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_certificate_file_is_named():
    """Found at the start, not at the first connection."""
    [problem] = problems(
        overrides={"kafka.security_protocol": "SSL", "kafka.ssl_cafile": "/none.pem"}, check_files=True
    )
    assert "kafka.ssl_cafile" in problem


def test_a_missing_file_is_named(tmp_path):
    """The one thing a person mistypes most."""
    [problem] = problems(config=tmp_path / "none.toml")
    assert "there is no such file" in problem


def test_a_password_appears_in_no_text(file):
    """Neither where it is kept nor where it is refused."""
    env = {
        "STREAMER_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "STREAMER_KAFKA__SASL_USERNAME": "me",
        "STREAMER_KAFKA__SASL_PASSWORD": "hunter2",
    }
    settings = load(env=env, check_files=False)
    assert settings.kafka.sasl_password == "hunter2"
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in "".join(problems(env={**env, "STREAMER_WEB__PORT": "x"}))
    assert "424242" not in "".join(problems(config=file("[kafka]\nsasl_password = 424242")))


def test_a_plain_client_gets_brokers_and_name():
    """No credentials where none are asked for."""
    kwargs = KafkaSettings(bootstrap="a:1, b:2").client_kwargs()
    assert kwargs == {"bootstrap_servers": ["a:1", "b:2"], "client_id": "streamer", "security_protocol": "PLAINTEXT"}


async def test_an_encrypted_login_is_accepted_by_every_kafka_client():
    """TLS with names checked, and SASL, in the words aiokafka knows."""
    settings = KafkaSettings(
        security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-512", sasl_username="me", sasl_password="hunter2"
    )
    kwargs = settings.client_kwargs()
    assert kwargs["ssl_context"].check_hostname
    assert kwargs["sasl_plain_password"] == "hunter2"
    for client in (AIOKafkaConsumer, AIOKafkaProducer, AIOKafkaAdminClient):
        client(**kwargs)


def test_settings_cannot_be_changed_once_made():
    """What was checked stays so."""
    for cls in (Settings, KafkaSettings, RuntimeSettings, WebSettings):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(cls(), dataclasses.fields(cls)[0].name, None)


@dataclass(frozen=True)
class Odd:
    """A section with a field of every kind that may come."""

    names: tuple[str, ...] = ("a",)
    sizes: frozenset[int] = frozenset({1})
    weights: dict[str, float] = field(default_factory=dict)
    limit: int | None = 3
    mode: Literal["a", 2] = "a"
    on: bool = True


@dataclass(frozen=True)
class WithOdd:
    """A tree of its own."""

    odd: Odd = field(default_factory=Odd)


def test_fields_of_any_kind_are_read_without_a_change_here(file):
    """What another layer declares tomorrow works from all three sources."""
    config = file("[odd]\nnames = ['x', 'y']\nweights = {a = 1}\n")
    env = {"STREAMER_ODD__SIZES": "4, 5", "STREAMER_ODD__LIMIT": "none", "STREAMER_ODD__MODE": "2"}
    made, told = read(WithOdd, config, env, {"odd.on": "off"})
    assert made == WithOdd(Odd(("x", "y"), frozenset({4, 5}), {"a": 1.0}, None, 2, on=False))
    assert told == []
    assert "neither true nor false" in read(WithOdd, None, {}, {"odd.on": "perhaps"})[1][0]


def test_the_settings_page_is_what_the_classes_say():
    """docs/settings.md does not drift."""
    assert (ROOT / "docs" / "settings.md").read_text() == page(), (
        "run python -m streamer.settings_docs > docs/settings.md"
    )


def test_the_settings_page_is_the_same_under_any_hash_seed():
    """Nothing in it hangs on the order of a set."""
    pages = {
        subprocess.run(
            [sys.executable, "-m", "streamer.settings_docs"],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(pages) == 1


@pytest.mark.parametrize(
    "setting", [s for s in leaves() if s.path[0] in ("kafka", "runtime", "web", "log")], ids=lambda s: s.name
)
def test_every_setting_of_the_shell_is_documented(setting):
    """Each field has a sentence under it."""
    assert field_docs(setting.owner)[setting.path[-1]].endswith(".")


def test_the_example_file_is_usable_and_names_real_settings():
    """deploy/streamer.toml loads as it is."""
    assert load(ROOT / "deploy" / "streamer.toml", check_files=False).kafka.bootstrap
