# The unit's condition asks for a file that is the head node's: slurmd gets it from there.
mkdir -p /etc/systemd/system/slurmd.service.d
printf '%s\n' "[Unit]" "ConditionPathExists=" >/etc/systemd/system/slurmd.service.d/muster.conf
systemctl unmask slurmd
systemctl disable --now slurmd
serve muster-node watch
last_words() { tail -c 8000 "$LOG" | timeout 60 python3 "$NODE" fail "bootstrap failed with status $1"; }
