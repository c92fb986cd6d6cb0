"""The desired state, from one list of flags to that of the next supervisor."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import pytest

from core import config
from core.config import Settings
from core.supervisor import desired_state, options, state
from core.supervisor.desired_state import (
    FORMER,
    changed_keys,
    given_settings,
    initial,
    resume,
    with_sizes,
    with_stopped,
    with_texts,
)
from core.supervisor.state import DesiredState

SERVERS, WORKERS = options.SERVER_COUNT, options.WORKER_COUNT


def settings_of(directory: Path, *flags: str, environment: Mapping[str, str] | None = None) -> Settings:
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, options.OPTIONS)
    return config.load(options.OPTIONS, parser.parse_args(["--dir", str(directory), *flags]), environment or {})


def test_only_given_settings_are_kept(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "--servers", "3", environment={"CAUCE_DATABASE": "mine.db"})
    assert given_settings(settings) == {SERVERS.key: "3", config.DATABASE.key: "mine.db"}
    assert initial(settings) == DesiredState(asked=given_settings(settings), current=given_settings(settings))


def test_a_token_is_not_stored(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "--servers", "3", environment={"CAUCE_TOKEN": "hush-hush"})
    assert settings[config.TOKEN] == "hush-hush"
    file = tmp_path / "intention.json"
    state.save(file, resume(settings, initial(settings))[1])
    assert "hush-hush" not in file.read_text("utf-8")


def test_the_desired_state_is_stored_whole(tmp_path: Path) -> None:
    whole = with_stopped(
        with_sizes(initial(settings_of(tmp_path, "--nginx", "--tasks", "mine", "--lab")), 3, 8), ["w2"]
    )
    file = tmp_path / "intention.json"
    state.save(file, whole)
    assert state.load(file, DesiredState) == whole


@pytest.mark.parametrize(
    ("first", "second", "servers"),
    [
        pytest.param((), (), 5, id="never given: it keeps its current value"),
        pytest.param(("--servers", "3"), (), 5, id="not given again: it stays"),
        pytest.param(("--servers", "3"), ("--servers", "3"), 5, id="given as it was: it stays"),
        pytest.param(("--servers", "3"), ("--servers", "4"), 4, id="given with another value: it changes"),
        pytest.param((), ("--servers", "1"), 1, id="given for the first time: it changes"),
        pytest.param(("--servers", "3"), ("--servers", "5"), 5, id="given with its current value"),
        pytest.param(("--servers", "3"), ("--workers", "9"), 5, id="another one is given"),
    ],
)
def test_a_scaled_number_stays_unless_another_is_given(
    tmp_path: Path, first: tuple[str, ...], second: tuple[str, ...], servers: int
) -> None:
    former = with_sizes(initial(settings_of(tmp_path, *first)), 5, 2)
    settings, desired = resume(settings_of(tmp_path, *second), former)
    assert settings[SERVERS] == servers
    assert desired.current[SERVERS.key] == str(servers)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((), ("-l", "info", "--broker", "embedded", "--database", "resultados.db", "--token-file", "")),
        ((), ("--no-lab", "--no-nginx", "-c", "4", "--stop-timeout", "60.0")),
        (("--stop-timeout", "9", "--lab"), ("--stop-timeout", "9.0", "--lab")),
        (("--stop-timeout", "9"), ()),
        (("-l", "info"), ()),
    ],
)
def test_the_same_value_in_other_words_changes_nothing(
    tmp_path: Path, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    former = initial(settings_of(tmp_path, *first))
    for flags in (second, second, first):
        settings, desired = resume(settings_of(tmp_path, *flags), former)
        assert changed_keys(former, desired) == frozenset()
        assert given_settings(settings) == former.current
        former = desired


def test_each_supervisor_compares_with_the_settings_given_last(tmp_path: Path) -> None:
    desired = initial(settings_of(tmp_path, "--servers", "3"))
    settings, desired = resume(settings_of(tmp_path, "--servers", "4"), desired)
    assert settings[SERVERS] == 4
    desired = with_sizes(desired, 6, 2)
    settings, desired = resume(settings_of(tmp_path, "--servers", "4"), desired)
    assert settings[SERVERS] == 6
    settings, desired = resume(settings_of(tmp_path), desired)
    assert settings[SERVERS] == 6
    settings, desired = resume(settings_of(tmp_path, "--servers", "3"), desired)
    assert settings[SERVERS] == 3


def test_scaling_changes_the_current_settings_only(tmp_path: Path) -> None:
    former = initial(settings_of(tmp_path, "--servers", "3", "-c", "8"))
    scaled = with_sizes(former, 1, 0)
    assert scaled.asked == former.asked
    assert scaled.current == {**former.current, SERVERS.key: "1", WORKERS.key: "0"}
    assert former.current == former.asked


def test_what_an_operator_has_stopped_stays_stopped(tmp_path: Path) -> None:
    former = with_stopped(initial(settings_of(tmp_path)), ["s2", "w1"])
    assert resume(settings_of(tmp_path, "--workers", "4"), former)[1].stopped == ("s2", "w1")
    assert with_sizes(former, 1, 1).stopped == ("s2", "w1")
    assert with_stopped(former, []).stopped == ()


def test_a_kept_setting_names_its_origin(tmp_path: Path) -> None:
    settings, _ = resume(settings_of(tmp_path, "--workers", "4"), initial(settings_of(tmp_path, "--nginx")))
    assert settings[options.NGINX] is True
    assert settings.given(options.NGINX)
    assert settings.origins[options.NGINX.key].place == FORMER
    assert settings.origins[WORKERS.key].place == "--workers"
    assert settings.origins[SERVERS.key].place == "default"


def test_the_directory_is_that_of_the_new_supervisor(tmp_path: Path) -> None:
    settings, desired = resume(settings_of(tmp_path / "moved"), initial(settings_of(tmp_path / "old")))
    assert settings[config.DIRECTORY] == settings_of(tmp_path / "moved")[config.DIRECTORY]
    assert config.DIRECTORY.key not in desired.current


@pytest.mark.parametrize("texts", [{SERVERS.key: "many"}, {SERVERS.key: "-1"}, {"of.another.version": "3"}, {}])
def test_invalid_values_are_left_out(tmp_path: Path, texts: dict[str, str]) -> None:
    settings = settings_of(tmp_path)
    assert with_texts(settings, texts) == settings


def test_the_given_settings_are_not_changed_in_place(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert desired_state.with_texts(settings, {SERVERS.key: "7"})[SERVERS] == 7
    assert settings[SERVERS] == 2
