# What every part uses: where we are, trying again, and what becomes of the log at the end.
# This runs at every boot, so each part first looks whether its work is done already.
set -Eeuo pipefail
umask 022
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin
export AWS_DEFAULT_REGION=$REGION AWS_RETRY_MODE=adaptive AWS_MAX_ATTEMPTS=10 AWS_PAGER=
METADATA=http://169.254.169.254/latest
LOG=/var/log/muster-bootstrap.log
touch "$LOG"
chmod 600 "$LOG"
exec >>"$LOG" 2>&1
echo "bootstrap of $CLUSTER begins $(date -u +%FT%TZ)"

token() {
  TOKEN=$(curl -sf -m 5 --noproxy '*' -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' $METADATA/api/token)
}

# imds PATH: one entry of the instance's metadata, version 2 of the service only.
imds() {
  curl -sf -m 5 --retry 5 --noproxy '*' -H "X-aws-ec2-metadata-token: $TOKEN" "$METADATA/meta-data/$1"
}

# The log's end as one event of a stream named after the instance. Python is there: cloud-init is written in it.
ship() {
  local events=$STATE/events.json stream=(--log-group-name "$LOG_GROUP" --log-stream-name "$INSTANCE")
  python3 -c 'import json, sys, time
print(json.dumps([
    {"timestamp": int(time.time() * 1000), "message": open(sys.argv[1], errors="replace").read()[-60000:]}]))' "$LOG" >"$events"
  aws logs create-log-stream "${stream[@]}"
  aws logs put-log-events "${stream[@]}" --log-events "file://$events" >/dev/null
}

# Parts that have somebody to tell about the end put their own in its place.
report() { :; }

finish() {
  local status=$?
  trap - EXIT ERR
  set +e
  if ((status == 0)); then
    echo "bootstrap succeeded"
  else
    echo "bootstrap failed with status $status"
    tail -n 30 "$LOG" >/dev/console
    tail -c 200000 "$LOG" | aws s3 cp --quiet - "$UPLOAD/$INSTANCE.log"
  fi
  ship
  report "$status"
  exit "$status"
}
trap 'echo "failed in line $LINENO: $BASH_COMMAND"' ERR
trap finish EXIT

INSTANCE=unknown
STATE=/var/lib/muster
# For root alone, like the log: the end of it lies there too.
mkdir -p "$STATE"
chmod 700 "$STATE"
retry 120 token
INSTANCE=$(imds instance-id)
# Of this instance alone: an image made from a node carries the directory of the other one along.
STATE=/var/lib/muster/$INSTANCE
mkdir -p "$STATE"
