# shellcheck shell=bash
# zlint, which the tests hold certificates against: built from the Go module proxy, pinned by scripts/zlint/go.mod and
# hashed by its go.sum, into .cache/zlint. Half a minute with an empty Go cache. Where there is no Go the tests that ask it
# are skipped and say so, so this may go without; a build that fails is an error. Sourced by scripts/setup.

setup_zlint() {
  local since stamp folder="$setup_cache/zlint" text='zlint 3.6.4 by Go'
  since=$(setup_now)
  if ! command -v go >/dev/null; then
    printf ' %s no go here: the tests that ask zlint are skipped\n' "$setup_todo" >&2
    return 0
  fi
  stamp=$(setup_stamp "$setup_root/scripts/zlint/go.mod" "$setup_root/scripts/zlint/go.sum" < <(uname -sm))
  if [[ ! -x "$folder/zlint" || ! -f "$folder/stamp" || "$(<"$folder/stamp")" != "$stamp" ]]; then
    setup_run zlint "$text" 'zlint wants Go 1.19 or newer and a Go module proxy: see `go env GOPROXY`' \
      setup_build_zlint "$folder" "$stamp"
  else
    setup_line "$setup_ok" "$text" "$since"
  fi
}

setup_build_zlint() {
  mkdir -p "$1"
  rm -f "$1/stamp"
  cd "$setup_root/scripts/zlint" || return
  GOFLAGS=-mod=readonly GOTOOLCHAIN=local go build -trimpath -buildvcs=false -o "$1/zlint" \
    github.com/zmap/zlint/v3/cmd/zlint
  printf '%s\n' "$2" >"$1/stamp"
}
