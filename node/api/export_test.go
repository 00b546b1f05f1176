package api

// Cursor is opaque to callers; tests make them too.
var Cursor = cursor
