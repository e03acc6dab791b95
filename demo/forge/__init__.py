"""A forge on this machine: code host, CI and tickets as MCP servers over one bare git repository."""
