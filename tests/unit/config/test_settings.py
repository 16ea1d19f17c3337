"""The environment of a process: all mistakes at once, secrets from files, nothing secret
printed."""

from __future__ import annotations

from pathlib import Path

import pytest

import config
from config.logs import without_secrets
from config.settings import PLAIN, SECRETS, Settings, SettingsMistakes, read_settings

GOOD = {
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_SIGNING_SECRET": "s3cret",
    "REDIS_URL": "redis://:pa55word@127.0.0.1:6379/0",
    "PILOTHOUSE_CONFIG": "catalog.yaml",
}


def mistakes(changes: dict[str, str], without: tuple[str, ...] = ()) -> tuple[str, ...]:
    environment = {key: value for key, value in {**GOOD, **changes}.items() if key not in without}
    with pytest.raises(SettingsMistakes) as caught:
        read_settings(environment, "bot")
    return caught.value.lines


def test_a_good_environment_gives_settings_with_defaults() -> None:
    settings = read_settings(GOOD, "bot")
    assert (settings.host, settings.port, settings.log_format) == ("127.0.0.1", 3000, "text")
    assert settings.slack_api_url == "https://slack.com/api/"
    assert not settings.uses_socket_mode


def test_an_app_token_means_socket_mode_and_needs_no_signing_secret() -> None:
    environment = {**GOOD, "SLACK_APP_TOKEN": "xapp-1", "SLACK_SIGNING_SECRET": ""}
    assert read_settings(environment, "bot").uses_socket_mode


def test_a_secret_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("xoxb-from-file\n", encoding="utf-8")
    environment = {key: value for key, value in GOOD.items() if key != "SLACK_BOT_TOKEN"} | {
        "SLACK_BOT_TOKEN_FILE": str(file)
    }
    assert read_settings(environment, "worker").slack_bot_token == "xoxb-from-file"


def test_a_secret_given_twice_is_a_mistake(tmp_path: Path) -> None:
    assert mistakes({"REDIS_URL_FILE": str(tmp_path)}) == (
        "REDIS_URL and REDIS_URL_FILE are both set: keep one",
    )


def test_all_mistakes_are_reported_at_once() -> None:
    lines = mistakes(
        {
            "SLACK_BOT_TOKEN": "abc",
            "REDIS_URL": "http://x",
            "PILOTHOUSE_PORT": "99999",
            "PILOTHOUSE_LOG_LEVEL": "debgu",
        },
        ("PILOTHOUSE_CONFIG",),
    )
    assert len(lines) == 5
    assert (
        "PILOTHOUSE_LOG_LEVEL is `debgu`: use debug, info, warning or error; did you mean debug?"
        in lines
    )


def test_a_port_made_by_kubernetes_service_links_is_explained() -> None:
    (line,) = mistakes({"PILOTHOUSE_PORT": "tcp://10.0.0.1:3000"})
    assert "enableServiceLinks: false" in line


def test_a_misspelled_variable_is_named_with_the_right_one() -> None:
    assert mistakes({"PILOTHOUSE_LOG_FROMAT": "json"}) == (
        "PILOTHOUSE_LOG_FROMAT is unknown; did you mean PILOTHOUSE_LOG_FORMAT?",
    )


def test_variables_of_service_links_are_none_of_our_business() -> None:
    read_settings(
        {
            **GOOD,
            "PILOTHOUSE_SERVICE_HOST": "10.0.0.1",
            "PILOTHOUSE_PORT_3000_TCP": "tcp://10.0.0.1:3000",
        },
        "bot",
    )


def test_no_secret_is_in_the_representation_or_in_a_mistake() -> None:
    settings = read_settings(GOOD, "bot")
    assert isinstance(settings, Settings)
    for secret in ("xoxb-1", "s3cret", "pa55word"):
        assert secret not in repr(settings)
    assert not any(
        "abc-secret" in line
        for line in mistakes({"SLACK_BOT_TOKEN": "abc-secret", "REDIS_URL": "abc-secret"})
    )


def test_a_redis_behind_sentinels_is_named_with_its_service() -> None:
    url = "redis+sentinel://bot:pa55word@a:26379,b:26379/mymaster/0?replicas=1"
    assert read_settings({**GOOD, "REDIS_URL": url}, "bot").redis_url == url
    (line,) = mistakes({"REDIS_URL": "redis+sentinel://a:26379"})
    assert "SERVICE" in line


@pytest.mark.parametrize(
    ("url", "with_password"),
    [
        ("redis://bot@a:6379/0", "redis://bot:p%40%2F%3A@a:6379/0"),
        ("rediss://a/0?ssl_cert_reqs=none", "rediss://:p%40%2F%3A@a/0?ssl_cert_reqs=none"),
        ("unix://bot@/run/redis.sock", "unix://bot:p%40%2F%3A@/run/redis.sock"),
        ("redis+sentinel://bot@a:1,b:2/main/0", "redis+sentinel://bot:p%40%2F%3A@a:1,b:2/main/0"),
    ],
)
def test_the_password_of_redis_may_be_kept_apart(
    tmp_path: Path, url: str, with_password: str
) -> None:
    (tmp_path / "password").write_text("p@/:\n")
    environment = {"REDIS_URL": url, "REDIS_PASSWORD_FILE": str(tmp_path / "password")}
    assert read_settings({**GOOD, **environment}, "bot").redis_url == with_password


def test_two_passwords_of_redis_are_a_mistake() -> None:
    (line,) = mistakes({"REDIS_PASSWORD": "0ther"})
    assert line == "REDIS_URL holds a password and REDIS_PASSWORD is set: keep one"


def test_no_secret_gets_into_a_log_line() -> None:
    line = without_secrets(
        "xoxb-123-abc xapp-1-A redis://:pa55word@host/0 Authorization: Bearer abcdef token=zzz"
        " sentinel_password=qqq"
    )
    for secret in ("123", "pa55word", "abcdef", "zzz", "qqq"):
        assert secret not in line


def test_the_example_environment_names_every_variable() -> None:
    text = (Path(config.__file__).parent / "example" / "environment").read_text(encoding="utf-8")
    for name in (*SECRETS, *(name for name in PLAIN if name != "SLACK_API_URL")):
        assert f"{name}=" in text


@pytest.mark.parametrize(
    "url", ["https://slack.example.com/api/", "http://127.0.0.1:9/api/", "http://localhost:9/api/"]
)
def test_slack_is_reached_encrypted_or_on_this_machine(url: str) -> None:
    assert not any("SLACK_API_URL" in line for line in mistakes_with(url))


@pytest.mark.parametrize(
    "url", ["http://slack.com/api/", "http://127.0.0.1.example.com/", "http://[fe80::1]/"]
)
def test_an_unencrypted_slack_elsewhere_is_refused(url: str) -> None:
    assert any("SLACK_API_URL" in line and "use https" in line for line in mistakes_with(url))


def mistakes_with(url: str) -> tuple[str, ...]:
    try:
        read_settings({"SLACK_API_URL": url}, "terminal")
    except SettingsMistakes as found:
        return found.lines
    return ()


def test_an_authority_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("nothing")
    assert mistakes({"SLACK_CA_FILE": str(tmp_path / "empty")}) == (
        f"SLACK_CA_FILE names {tmp_path / 'empty'}, which holds no certificate in PEM",
    )
    (line,) = mistakes({"SLACK_CA_FILE": str(tmp_path / "none")})
    assert line.endswith("which cannot be read: No such file or directory")
