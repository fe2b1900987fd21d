"""Whose is what between two requests: the session hashes, events, uploads and files that Gradio keeps per page.

Gradio lets in whoever knows such a name; here each belongs to the user who brought it up. Kept in memory, because
Gradio keeps what they name in memory too. Used from the event loop only. Knows no HTTP.
"""

from __future__ import annotations

from collections import OrderedDict

MOST_PER_USER = 5_000
MOST_USERS = 20_000


class Belongings:
    """Names and their owners. Whoever brings up too many loses the oldest of their own, never those of others."""

    def __init__(self, most_per_user: int = MOST_PER_USER, most_users: int = MOST_USERS) -> None:
        self._most_per_user = most_per_user
        self._most_users = most_users
        self._owners: dict[str, set[int]] = {}
        self._held: OrderedDict[int, OrderedDict[str, None]] = OrderedDict()

    def claim(self, user_id: int, name: str) -> bool:
        """Take a name that nobody has; False when it is someone else's.

        >>> belongings = Belongings()
        >>> belongings.claim(1, "session"), belongings.claim(1, "session"), belongings.claim(2, "session")
        (True, True, False)
        """
        if self._owners.get(name, {user_id}) != {user_id}:
            return False
        self.share(user_id, name)
        return True

    def share(self, user_id: int, name: str) -> None:
        """Let a user have a name beside those who have it: two may upload the same file."""
        self._owners.setdefault(name, set()).add(user_id)
        held = self._held.setdefault(user_id, OrderedDict())
        self._held.move_to_end(user_id)
        held[name] = None
        held.move_to_end(name)
        if len(held) > self._most_per_user:
            self._drop(user_id, held.popitem(last=False)[0])
        if len(self._held) > self._most_users:
            longest_ago, theirs = self._held.popitem(last=False)
            for each in theirs:
                self._drop(longest_ago, each)

    def owns(self, user_id: int, name: str) -> bool:
        """Whether the name belongs to this user."""
        return user_id in self._owners.get(name, ())

    def _drop(self, user_id: int, name: str) -> None:
        owners = self._owners[name]
        owners.discard(user_id)
        if not owners:
            del self._owners[name]
