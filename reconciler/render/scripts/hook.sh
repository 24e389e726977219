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
# Parts that tell somebody who then ends the node put their own in its place. It fails where nobody was told.
last_words() { false; }
report() {
  local result=CONTINUE
  kill $BEATER
  if (($1)); then
    last_words "$1" && return
    result=ABANDON
  fi
  hook complete-lifecycle-action --lifecycle-action-result "$result"
}
