# `join` alone starts slurmd, at every boot. Where it was installed just now its unit's condition has kept it from running:
# a file that slurmd gets from the head node here.
systemctl disable --now slurmd
mkdir -p /etc/systemd/system/slurmd.service.d
printf '%s\n' "[Unit]" "ConditionPathExists=" >/etc/systemd/system/slurmd.service.d/muster.conf
serve muster-node watch
last_words() { tail -c 8000 "$LOG" | timeout 60 python3 "$NODE" fail "bootstrap failed with status $1"; }
