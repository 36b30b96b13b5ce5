//go:build tools

// Names what is built from this module: Helm, which renders and lints the chart. See go.sum for its hashes.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
