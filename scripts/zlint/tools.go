//go:build tools

// Names what is built from this module: the linter that the tests hold our certificates against. See go.sum for its hashes.
package tools

import _ "github.com/zmap/zlint/v3/cmd/zlint"
