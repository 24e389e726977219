# `join` alone starts slurmd, at every boot. The file that its unit may ask for it gets from the head node.
systemctl disable --now slurmd
mkdir -p /etc/systemd/system/slurmd.service.d
printf '%s\n' "[Unit]" "ConditionPathExists=" >/etc/systemd/system/slurmd.service.d/muster.conf
serve muster-node watch
