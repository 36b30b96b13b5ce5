//go:build tools

// Names what is built from this module: the EST client (RFC 7030) that the tests enrol with. See go.sum for its hashes.
package tools

import _ "github.com/globalsign/est/cmd/estclient"
