"""The HTTP calls of accounts: each handler translates and decides nothing."""

from __future__ import annotations

from server.accounts import shapes
from server.accounts.wiring import AccountsPart
from server.kernel.events import EventTable, Request, RouteTable

events = EventTable()
"""Accounts have no socket events."""
routes = RouteTable()


@routes.on("GET", "/api/v1/server", answer=shapes.ServerInfo, login=False)
async def get_server(request: Request, part: AccountsPart) -> shapes.ServerInfo:
    """What this server offers, its limits and its clock."""
    return part.server_info()


@routes.on(
    "POST", "/api/v1/accounts", body=shapes.SignUp, answer=shapes.Session, status=201, login=False
)
async def sign_up(request: Request, part: AccountsPart) -> shapes.Session:
    """Make an account and log in."""
    return await part.sign_ups.sign_up(request.body, request.peer)


@routes.on(
    "POST", "/api/v1/sessions", body=shapes.LogIn, answer=shapes.Session, status=201, login=False
)
async def log_in(request: Request, part: AccountsPart) -> shapes.Session:
    """Log in by password and, where it is set up, the second factor."""
    return await part.login.log_in(request.body, request.peer)


@routes.on(
    "POST",
    "/api/v1/sessions/link",
    body=shapes.LinkLogIn,
    answer=shapes.Session,
    status=201,
    login=False,
)
async def log_in_by_link(request: Request, part: AccountsPart) -> shapes.Session:
    """Exchange the one-time code of a login link for a session."""
    return await part.login.by_link(request.body, request.peer)


@routes.on(
    "POST", "/api/v1/sessions/refresh", body=shapes.Refresh, answer=shapes.Session, login=False
)
async def refresh(request: Request, part: AccountsPart) -> shapes.Session:
    """New tokens for a session by its refresh token."""
    return await part.sessions.refresh(request.body.refresh_token)


@routes.on("GET", "/api/v1/sessions", answer=shapes.SessionList)
async def list_sessions(request: Request, part: AccountsPart) -> shapes.SessionList:
    """One's own open sessions."""
    return shapes.SessionList(await part.sessions.list(request.by))


@routes.on("DELETE", "/api/v1/sessions/{session_id}")
async def end_session(request: Request, part: AccountsPart) -> None:
    """End one of one's own sessions (`current` too) and close its sockets."""
    await part.sessions.revoke(request.by, request.path["session_id"])


@routes.on("GET", "/api/v1/devices", answer=shapes.DeviceList)
async def list_devices(request: Request, part: AccountsPart) -> shapes.DeviceList:
    """One's own devices."""
    return shapes.DeviceList(await part.people.devices(request.by))


@routes.on("GET", "/api/v1/me", answer=shapes.Me)
async def get_me(request: Request, part: AccountsPart) -> shapes.Me:
    """One's own user."""
    return await part.people.me(request.by)


@routes.on("PATCH", "/api/v1/me", body=shapes.PatchMe, answer=shapes.Me)
async def patch_me(request: Request, part: AccountsPart) -> shapes.Me:
    """Change one's own display name or avatar."""
    return await part.people.change_me(request.by, request.body)


@routes.on("POST", "/api/v1/me/password", body=shapes.ChangePassword)
async def change_password(request: Request, part: AccountsPart) -> None:
    """Change the password; all other sessions end."""
    cmd = request.body
    await part.login.change_password(request.by, cmd.old_password, cmd.new_password)


@routes.on("GET", "/api/v1/me/totp", answer=shapes.TotpState)
async def get_totp(request: Request, part: AccountsPart) -> shapes.TotpState:
    """Whether a second factor is set up."""
    return shapes.TotpState((await part.people.row(request.by.user_id)).totp_secret is not None)


@routes.on("POST", "/api/v1/me/totp", body=shapes.Proof, answer=shapes.TotpSetup)
async def begin_totp(request: Request, part: AccountsPart) -> shapes.TotpSetup:
    """Begin to set up a second factor; nothing changes until it is confirmed."""
    user = await part.login.check_password(request.by.user_id, request.body.password, "password")
    return part.second_factor.begin(user)


@routes.on("POST", "/api/v1/me/totp/confirm", body=shapes.ConfirmTotp, answer=shapes.RecoveryCodes)
async def confirm_totp(request: Request, part: AccountsPart) -> shapes.RecoveryCodes:
    """Turn the second factor on by its first code; answers the recovery codes, once."""
    user = await part.people.row(request.by.user_id)
    return shapes.RecoveryCodes(
        await part.second_factor.confirm(user, request.body.setup, request.body.code)
    )


@routes.on("POST", "/api/v1/me/totp/disable", body=shapes.DisableTotp)
async def disable_totp(request: Request, part: AccountsPart) -> None:
    """Turn the second factor off, by password and a code."""
    user = await part.login.check_password(request.by.user_id, request.body.password, "password")
    await part.login.disable_second_factor(user, request.body.totp)


@routes.on("GET", "/api/v1/users", query=shapes.UserQuery, answer=shapes.UserList)
async def search_users(request: Request, part: AccountsPart) -> shapes.UserList:
    """People whose user name or display name begins so."""
    return shapes.UserList(
        await part.people.search(request.by, request.query.query, request.query.limit)
    )


@routes.on("GET", "/api/v1/users/{user_id}", answer=shapes.User)
async def get_user(request: Request, part: AccountsPart) -> shapes.User:
    """One user."""
    return await part.people.get(request.by, request.path["user_id"])


@routes.on("POST", "/api/v1/invites", body=shapes.NewInvite, answer=shapes.IssuedInvite, status=201)
async def create_invite(request: Request, part: AccountsPart) -> shapes.IssuedInvite:
    """Make an invitation (administrators only)."""
    cmd = request.body
    return await part.sign_ups.invite(
        request.by, uses=cmd.uses, expires_in_s=cmd.expires_in_s, admin=cmd.admin
    )


@routes.on("GET", "/api/v1/invites", answer=shapes.InviteList)
async def list_invites(request: Request, part: AccountsPart) -> shapes.InviteList:
    """All invitations, without their codes (administrators only)."""
    return shapes.InviteList(await part.sign_ups.invites(request.by))
