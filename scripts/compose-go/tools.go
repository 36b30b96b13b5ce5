//go:build tools

// Names what is built from this module: the loader of docker compose, which checks compose.yaml. See go.sum for its hashes.
package tools

import _ "github.com/compose-spec/compose-go/v2/cmd"
