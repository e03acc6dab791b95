"""How does a provider tell what it billed: over its Admin API, or in files exported by hand?"""

from drivers.usage_report.admin import AdminApi
from drivers.usage_report.exported import read_exports

__all__ = ["AdminApi", "read_exports"]
