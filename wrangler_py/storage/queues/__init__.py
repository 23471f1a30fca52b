"""The messages of all queues, in one SQLite file."""

from wrangler_py.storage.queues.holder import Holder
from wrangler_py.storage.queues.store import Backlog, HeldMessage, Move, NewMessage, QueueStore, Settlement

__all__ = ["Backlog", "HeldMessage", "Holder", "Move", "NewMessage", "QueueStore", "Settlement"]
