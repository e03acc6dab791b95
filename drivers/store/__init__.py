"""Where is the one memory?"""

from drivers.store.opening import open_store, store_at

__all__ = ["open_store", "store_at"]
