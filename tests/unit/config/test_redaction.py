"""Which secrets are taken out of a text, each kind with strings of its own. They are put together
here from halves, so that no scanner takes this file for a leak."""

from __future__ import annotations

import pytest

from bot.policy.concealment import concealed, concealed_pair
from config.redaction import (
    FORMATS,
    HIDDEN,
    NAMED,
    NOT_PORTED,
    bounded,
    is_harmless,
    redact,
)

MIXED = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC2dF4hJ6kL8nP0rS2uV4xY6"
HEX = "0123456789abcdef" * 4
EXAMPLES: dict[str, tuple[str, ...]] = {
    "artifactory": ("jfrog AP6" + "x" * 10, 'key="AKC' + "y" * 10 + '"'),
    "aws key": ("AKIA" + "ABCDEFGHIJ012345", "ASIA" + "QRSTUVWXYZ678901"),
    "aws secret": (f"aws_secret_key: '{MIXED[:40]}'",),
    "azure storage": ("AccountKey=" + MIXED + "+/==",),
    "discord": ("M" + MIXED[:23] + "." + MIXED[:6] + "." + MIXED[:27],),
    "github": ("github_pat_" + MIXED[:22], "ghs_" + MIXED[:36], "ghp_" + MIXED[:36]),
    "gitlab": ("glpat-" + MIXED[:20], "glsoat-" + MIXED[:50], "GR1348941" + MIXED[:20]),
    "google": ("AIza" + MIXED[:35],),
    "json web token": ("eyJ" + MIXED[:20] + "." + MIXED[:20] + "." + MIXED[:20],),
    "mailchimp": (HEX[:32] + "-us12",),
    "npm": ("npm_" + MIXED[:36],),
    "openai": ("sk-" + "proj-" + MIXED[:40],),
    "pypi": ("pypi-" + "AgEIcHlwaS5vcmc" + MIXED,),
    "putty": ("PuTTY-User-Key-File-2: ssh-rsa",),
    "sendgrid": ("SG." + MIXED[:22] + "." + MIXED[:43],),
    "slack": ("xoxb-" + "34532454-" + HEX[:18], "xapp-1-A" + HEX[:10]),
    "slack webhook": ("https://hooks.slack.com/services/" + "T0/B0/" + MIXED[:24],),
    "softlayer": ("https://api.softlayer.com/soap/v3/" + HEX, f"--softlayer-api-key {HEX}"),
    "square": ("sq0csp-" + MIXED[:43],),
    "stripe": ("sk_" + "live_" + MIXED[:24], "rk_" + "live_" + MIXED[:24]),
    "telegram": ("123456789:" + MIXED[:35],),
    "twilio": ("AC" + HEX[:32], "SK" + HEX[:32]),
    "basic auth": ("https://user:" + "hunter2@host/path", "redis://:pa55word@host/0"),
    "cloudant": (f"cloudant_key = '{HEX}'", f"https://a_b:{HEX}@a_b.cloudant.com"),
    "ibm cloud iam": (f"ibm-cloud_api_key: {MIXED[:44]}", f'"iam-password" := "{MIXED[:44]}"'),
    "ibm cos hmac": (f'COS_HMAC_SECRET_ACCESS_KEY = "{HEX[:48]}"',),
    "keyword": ('api_key := "one two"', 'my_password[] = @"bar"', 'privateKey "abc";'),
    "private key": (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\nxyz=\n-----END RSA PRIVATE KEY-----",
    ),
}
SEEN = (  # each was shown once, with the value that must not be
    ("DB_PASS=hunter2", "hunter2"),
    ("PRIVATE_KEY=hunter2", "hunter2"),
    ("пароль=тайна", "тайна"),
    ("密码：x 密码=hunter2", "hunter2"),
    ("start --password hunter2 --verbose", "hunter2"),
    ('["--password","hunter2"]', "hunter2"),
    ("the password is: hunter2", "hunter2"),
    ('{\\"password\\":\\"hunter2\\",\\"a\\":1}', "hunter2"),
    ('{"password": "correct horse"}', "horse"),
    ("Authorization: Token hunter2", "hunter2"),
    ("Cookie: session=hunter2; theme=dark", "hunter2"),
    ("Set-Cookie: id=hunter2; Path=/", "hunter2"),
    ("MIIEhunter2\nxyz=\n-----END PRIVATE KEY-----", "hunter2"),
)


@pytest.mark.parametrize("detector", [*FORMATS, *NAMED])
def test_each_kind_of_token_is_hidden(detector: str) -> None:
    for text in EXAMPLES[detector]:
        shown = redact(f"before {text} after")
        assert HIDDEN in shown and shown.startswith("before ")
        assert not any(part in shown for part in (MIXED[:20], HEX[:18], "hunter2", "MIIE", "bar"))


def test_what_is_not_ported_has_a_reason() -> None:
    assert all(len(reason) > 20 for reason in NOT_PORTED.values())


@pytest.mark.parametrize(("text", "secret"), SEEN)
def test_what_was_shown_once_is_hidden(text: str, secret: str) -> None:
    assert secret not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "panic: no config",
        "image registry.example/hello@sha256:" + HEX,
        "dial tcp 10.0.0.1:5432: connection refused",
        'secret "db" not found',
        "failed to fetch oauth token: unexpected status from GET request",
        "secretName: db tokenExpirationSeconds: 3600",
        "pod hello-7d9f8b6c5d-abcde in /usr/src/app/Controllers",
    ],
)
def test_evidence_keeps_what_is_no_secret(text: str) -> None:
    assert redact(text) == text


def test_a_cut_leaves_no_half_of_a_token() -> None:
    text = "x" * 90 + " ghp_" + MIXED
    assert "ghp_" not in bounded(text, 100)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("PORT", "8080"),
            ("DEBUG", "true"),
            ("TTL", "30s"),
            ("LOG_LEVEL", "info"),
            ("V", "1.2.3"),
        ),
        *(
            ("API_URL", "https://api.example.com/v1"),
            ("DATA", "/var/lib/data"),
            ("DB", "db.svc:5432"),
        ),
    ],
)
def test_a_plainly_harmless_variable_is_shown(name: str, value: str) -> None:
    assert is_harmless(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("DB_PASS", "1234"), ("NOTE", "swordfish"), ("URL", "https://u:p@h/"), ("TOKEN", "true")),
        *(("URL", "https://h/?key=1"), ("X", MIXED), ("HOOK", "https://h/" + MIXED)),
    ],
)
def test_any_other_variable_is_hidden(name: str, value: str) -> None:
    assert not is_harmless(name, value)


def test_a_template_shows_names_and_hides_values() -> None:
    container = {
        "name": "web",
        "image": "web:1",
        "args": ["--port=80", "--password", "hunter2"],
        "env": [{"name": "GREETING", "value": "hunter2"}, {"name": "PORT", "value": "80"}],
    }
    copy = '{"kind":"Secret","stringData":{"a":"hunter2"}}'
    shown = concealed({"metadata": {"annotations": {"last": copy}}, "containers": [container]})
    assert "hunter2" not in str(shown)
    assert shown["containers"][0]["env"][1] == {"name": "PORT", "value": "80"}
    assert shown["containers"][0]["args"][:2] == ["--port=80", "--password"]


def test_a_hidden_value_that_changes_is_seen_to_change() -> None:
    def env(value: str) -> dict[str, object]:
        return {"env": [{"name": "A", "value": value}]}

    before, after = concealed_pair(env("swordfish"), env("hunter2"))
    assert before["env"][0]["value"] == f"{HIDDEN} (before)"
    assert after["env"][0]["value"] == f"{HIDDEN} (after)"
    same, again = concealed_pair(env("swordfish"), env("swordfish"))
    assert same == again


IMAGE = "localhost:5000/team/auth:missing"


@pytest.mark.parametrize(
    "text",
    [
        f'Back-off pulling image "{IMAGE}"',
        f"failed to resolve reference {IMAGE}: {IMAGE}: not found",
        "docker.io/team/auth:missing@sha256:0123: not found",
        "pulled auth:missing.",
    ],
)
def test_the_tag_of_a_known_image_is_no_secret(text: str) -> None:
    assert redact(text, images=[IMAGE + "@sha256:0123"]) == text


@pytest.mark.parametrize("text", ["auth:missing-too", "client-auth:missing", "auth=missing"])
def test_what_only_resembles_a_known_image_is_redacted(text: str) -> None:
    assert "missing" not in redact(text, images=[IMAGE])


def test_a_repository_without_a_known_tag_is_redacted_as_before() -> None:
    assert (
        redact("team/auth:hunter2", images=["team/auth", "team/auth:1.0.0"])
        == f"team/auth:{HIDDEN}"
    )
