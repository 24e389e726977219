# The launch hook: says that we are still at work, and in the end how it went. At a later boot nothing waits for it.
hook() {
  aws autoscaling "$1" --auto-scaling-group-name "$GROUP" --lifecycle-hook-name "$HOOK" \
    --instance-id "$INSTANCE" "${@:2}"
}
beat() {
  while sleep "$BEAT"; do
    hook record-lifecycle-action-heartbeat || true
  done
}
BEATER=
# Parts that tell somebody else about a failure put their own in its place.
last_words() { :; }
report() {
  local result=CONTINUE
  if (($1)); then
    result=ABANDON
    last_words "$1"
  fi
  kill $BEATER
  hook complete-lifecycle-action --lifecycle-action-result "$result"
}
