# need COMMAND INSTALLER...: install what brings a command, where it is not there.
need() {
  if ! command -v "$1" >/dev/null; then
    retry 600 "${@:2}"
  fi
}
need aws install_cli
