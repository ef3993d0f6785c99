"""Who may post."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.unit.web.parts import GOOD, Ledger, application, client

from akeso.errors import ClusterAway, Forbidden
from akeso.web import auth
from akeso.web.auth import Authenticator, ServiceAccountTokens, StaticTokens

OLD, NEW = "old-token-0123456789", "new-token-0123456789"
JWT = "aaaa.bbbb.cccc"


async def post(authenticator: Authenticator, token: str | None = None, peer: str = "10.1.2.3", **headers: str) -> Any:
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    async with client(application(Ledger(), authenticator), peer) as http:
        return await http.post("/v1/alerts", json={"alerts": [GOOD]}, headers=headers)


def accounts(*answers: Any, now: Any = None) -> tuple[ServiceAccountTokens, list[tuple[str, str]]]:
    asked: list[tuple[str, str]] = []
    left = list(answers)

    async def review(token: str, audience: str) -> str | None:
        asked.append((token, audience))
        said = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(said, BaseException):
            raise said
        return said  # type: ignore[no-any-return]

    return ServiceAccountTokens(frozenset({"monitoring:alertmanager"}), review, **({"now": now} if now else {})), asked


GOOD_USER = "system:serviceaccount:monitoring:alertmanager"


async def test_both_tokens_of_a_rotation_are_accepted_and_others_are_not(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# rotation of November\n{OLD}\n{NEW}\n\nshort\n")
    known = Authenticator(StaticTokens(file))
    assert [
        (await post(known, token)).status_code for token in (OLD, NEW, "another-0123456789", "short", "#", OLD[:-1])
    ] == [202, 202, 401, 401, 401, 401]


async def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(OLD)
    known = Authenticator(StaticTokens(file))
    assert (await post(known, OLD)).status_code == 202
    other = tmp_path / "next"
    other.write_text(NEW)
    other.replace(file)  # as the kubelet does it
    assert ((await post(known, OLD)).status_code, (await post(known, NEW)).status_code) == (401, 202)
    file.unlink()
    assert (await post(known, NEW)).status_code == 401


async def test_a_service_account_token_is_reviewed_for_our_audience_once_a_minute() -> None:
    clock = [0.0]
    tokens, asked = accounts(GOOD_USER, now=lambda: clock[0])
    known = Authenticator(accounts=tokens)
    assert [(await post(known, JWT)).status_code for _ in range(3)] == [202] * 3
    assert asked == [(JWT, "akeso-webhook")]
    clock[0] = 61
    await post(known, JWT)
    assert len(asked) == 2


@pytest.mark.parametrize(
    "user",
    [
        None,
        "",
        "system:serviceaccount:monitoring:other",
        "system:serviceaccount:shop:alertmanager",
        "monitoring:alertmanager",
        "admin",
        "system:serviceaccount:monitoring:alertmanager:x",
    ],
)
async def test_another_identity_is_401_and_remembered(user: str | None) -> None:
    tokens, asked = accounts(user)
    known = Authenticator(accounts=tokens)
    assert [(await post(known, JWT)).status_code for _ in range(2)] == [401, 401]
    assert len(asked) == 1


@pytest.mark.parametrize("error", [ClusterAway(), Forbidden("may not review tokens")])
async def test_an_api_server_that_cannot_be_asked_is_503_and_not_401(error: Exception) -> None:
    tokens, _ = accounts(error, GOOD_USER)
    known = Authenticator(accounts=tokens)
    first = await post(known, JWT)
    assert (first.status_code, "retry-after" in first.headers) == (503, True)
    assert (await post(known, JWT)).status_code == 202  # nothing was remembered


async def test_an_api_server_that_hangs_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "REVIEW_SECONDS", 0.05)

    async def hangs(token: str, audience: str) -> str | None:
        await asyncio.sleep(60)
        return None

    assert (await post(Authenticator(accounts=ServiceAccountTokens(frozenset(), hangs)), JWT)).status_code == 503


async def test_what_is_no_jwt_is_never_reviewed() -> None:
    tokens, asked = accounts(GOOD_USER)
    assert (await post(Authenticator(accounts=tokens), "a" * 40)).status_code == 401
    assert asked == []


async def test_remembered_tokens_are_bounded_and_not_kept_in_clear() -> None:
    tokens, _ = accounts(None)
    for n in range(auth.REMEMBERED + 50):
        await tokens.allows(f"a.b.{n}")
    assert len(tokens._remembered) == auth.REMEMBERED
    assert "a.b." not in repr(tokens._remembered)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {OLD}"},
        {"authorization": OLD},
        {"authorization": "Bearer " + "x" * 20_000},
    ],
)
async def test_without_a_bearer_token_it_is_401_with_the_way_out(tmp_path: Path, headers: dict[str, str]) -> None:
    (tmp_path / "t").write_text(OLD)
    response = await post(Authenticator(StaticTokens(tmp_path / "t"), anonymous=True), **headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert "credentials_file" in response.json()["next"]
    assert OLD not in response.text


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 202),
        ("::1", {}, 202),
        ("127.8.8.8", {}, 202),
        ("10.0.0.1", {}, 401),
        ("nonsense", {}, 401),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1"}, 401),
        ("127.0.0.1", {"origin": "http://evil"}, 401),
        ("10.0.0.1", {"x-forwarded-for": "127.0.0.1"}, 401),
        ("127.0.0.1", {"forwarded": "for=1.2.3.4"}, 401),
    ],
)
async def test_anonymous_means_this_machine_and_only_where_it_was_set(
    peer: str, headers: dict[str, str], status: int
) -> None:
    assert (await post(Authenticator(anonymous=True), None, peer, **headers)).status_code == status
    assert (await post(Authenticator(), None, peer, **headers)).status_code == 401


async def test_a_wrong_token_is_refused_even_where_anonymous_would_pass() -> None:
    assert (await post(Authenticator(anonymous=True), "x" * 20, "127.0.0.1")).status_code == 401


async def test_no_token_is_in_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t").write_text(OLD)
    await post(Authenticator(StaticTokens(tmp_path / "t")), "very-secret-0123456789")
    said = capsys.readouterr()
    assert "notification refused" in said.out + said.err
    assert "very-secret" not in said.out + said.err
