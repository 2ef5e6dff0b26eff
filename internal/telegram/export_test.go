package telegram

// Connections are those of all calls, for tests that register a protocol.
var Connections = connections
