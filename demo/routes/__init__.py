"""The server's own addresses, one module an area: each has `add_X(app, context)`, called by demo/server.py."""
