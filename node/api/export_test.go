package api

// Cursors are opaque to callers; tests see both ways.
var (
	Cursor      = cursor
	ParseCursor = parseCursor
)
