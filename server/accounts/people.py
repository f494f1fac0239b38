"""Users as other users see them, and one's own profile and devices."""

from __future__ import annotations

from msgspec import UNSET

from server.accounts.shapes import DeviceItem, Me, PatchMe, User, show_me, show_user
from server.accounts.signup import check_display_name
from server.kernel.errors import NotFound, Unauthorized
from server.kernel.events import Context
from server.kernel.ids import UserId
from storage.api import Accounts, Projections, UserRow


class People:
    """`directory`: everybody may find everybody; else only people one shares a room with."""

    def __init__(self, store: Accounts, rooms: Projections, *, directory: bool) -> None:
        self._store = store
        self._rooms = rooms
        self._directory = directory

    async def row(self, user_id: UserId) -> UserRow:
        user = (await self._store.users([user_id])).get(user_id)
        if user is None:
            raise Unauthorized("Your account is gone.")
        return user

    async def me(self, by: Context) -> Me:
        return show_me(await self.row(by.user_id))

    async def change_me(self, by: Context, cmd: PatchMe) -> Me:
        changes: dict[str, str | None] = {}
        if cmd.avatar_file_id is not UNSET:
            if cmd.avatar_file_id is not None:  # there are no files yet
                raise NotFound("You have no such file.", field="avatar_file_id")
            changes["avatar_file_id"] = None
        if cmd.display_name is not UNSET:
            changes["display_name"] = check_display_name(cmd.display_name)
        if not changes:
            return await self.me(by)
        user = await self._store.update_user(by.user_id, changes)
        if user is None:
            raise Unauthorized("Your account is gone.")
        return show_me(user)

    async def search(self, by: Context, query: str, limit: int) -> list[User]:
        among: set[UserId] | None = None
        if not self._directory:
            among = {by.user_id, *await self._rooms.roommates(by.user_id)}
        rows = await self._store.search_users(query, among=among, limit=limit)
        return [show_user(row) for row in rows if not row.disabled]

    async def get(self, by: Context, wanted: str) -> User:
        """Raises NotFound also for somebody the caller may not know."""
        user_id = by.user_id if wanted == "me" else UserId(wanted)
        user = (await self._store.users([user_id])).get(user_id)
        known = self._directory or by.admin or user_id == by.user_id
        if user is None or not (known or await self._rooms.shares_room(by.user_id, [user_id])):
            raise NotFound("There is no such user.")
        return show_user(user)

    async def devices(self, by: Context) -> list[DeviceItem]:
        return [
            DeviceItem(
                row.id, row.name, row.platform, row.created_at, current=row.id == by.device_id
            )
            for row in await self._store.devices_of(by.user_id)
        ]
