# shellcheck shell=bash
# Programs in Go that the tests hold certgate against: zlint, a linter of certificates, and GlobalSign's estclient, an EST
# client. Built from the Go module proxy, pinned by scripts/NAME/go.mod and hashed by its go.sum, into .cache/NAME. Half a
# minute with an empty Go cache. Where there is no Go, or for estclient no C compiler, the tests that ask them are skipped and
# say so, so these may go without; a build that fails is an error. Sourced by scripts/setup.

setup_zlint() {
  setup_go_tool zlint 'zlint 3.6.4 by Go' github.com/zmap/zlint/v3/cmd/zlint
}

setup_estclient() {
  # Its PKCS#11 is C.
  if ! command -v "$(go env CC 2>/dev/null || echo cc)" >/dev/null; then
    printf ' %s no go or no C compiler here: the tests that ask estclient are skipped\n' "$setup_todo" >&2
    return 0
  fi
  setup_go_tool estclient 'estclient 1.0.6 by Go' github.com/globalsign/est/cmd/estclient
}

# NAME, what to say, and the Go package.
setup_go_tool() {
  local since stamp folder="$setup_cache/$1" module="$setup_root/scripts/$1"
  since=$(setup_now)
  if ! command -v go >/dev/null; then
    printf ' %s no go here: the tests that ask %s are skipped\n' "$setup_todo" "$1" >&2
    return 0
  fi
  stamp=$(setup_stamp "$module/go.mod" "$module/go.sum" < <(uname -sm))
  if [[ ! -x "$folder/$1" || ! -f "$folder/stamp" || "$(<"$folder/stamp")" != "$stamp" ]]; then
    setup_run "$1" "$2" "$1 wants Go 1.22 or newer and a Go module proxy: see \`go env GOPROXY\`" \
      setup_build_go_tool "$1" "$3" "$stamp"
  else
    setup_line "$setup_ok" "$2" "$since"
  fi
}

setup_build_go_tool() {
  local folder="$setup_cache/$1"
  mkdir -p "$folder"
  rm -f "$folder/stamp"
  cd "$setup_root/scripts/$1" || return
  GOFLAGS=-mod=readonly GOTOOLCHAIN=local go build -trimpath -buildvcs=false -o "$folder/$1" "$2"
  printf '%s\n' "$3" >"$folder/stamp"
}
