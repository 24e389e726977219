# The user's own scripts. run_once PHASE URL ARGUMENT...: once in the life of the instance for the same text.
fetch() {
  case $1 in
    s3://*) aws s3 cp --quiet "$1" "$2" ;;
    *) curl -fsSL --proto '=https' --proto-redir '=https' --tlsv1.2 -o "$2" "$1" ;;
  esac
}
run_once() {
  local mark file=$STATE/$1
  mark=$STATE/$(printf '%s\0' "$@" | sha256sum | cut -d ' ' -f 1)
  if [[ -e $mark ]]; then
    return
  fi
  retry 300 fetch "$2" "$file"
  chmod 700 "$file"
  echo "running the $1 script"
  "$file" "${@:3}"
  touch "$mark"
}
