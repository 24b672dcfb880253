"""Tools of MCP servers: sessions, transports and the supervisor of stdio servers."""
