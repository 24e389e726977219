# Slurm from the system's archive, and the agent that is made for it.
if ! { command -v "$DAEMON" && python3 -c "import boto3"; } >/dev/null 2>&1; then
  # What is installed is started, and slurmd, which has no configuration yet, waited for.
  systemctl mask "$DAEMON"
  retry 600 install "$DAEMON" slurm-client munge python3-boto3
  systemctl unmask "$DAEMON"
fi
NODE=/opt/muster/node.pyz
sound() { echo "$DIGEST $NODE$1" | sha256sum --check --status 2>/dev/null; }
fetch_agent() { aws s3 cp --quiet "$AGENT/$DIGEST.pyz" $NODE.new && sound .new && mv $NODE.new $NODE; }
mkdir -p /opt/muster /etc/muster
sound "" || retry 300 fetch_agent
echo "$PLACE" >/etc/muster/node.json

# A daemon that dies comes again: its jobs live on under daemons of their own, and it finds them.
mkdir -p "/etc/systemd/system/$DAEMON.service.d"
printf '%s\n' "[Service]" "Restart=on-failure" "RestartSec=5" >"/etc/systemd/system/$DAEMON.service.d/restart.conf"

# serve NAME VERB: the agent under systemd. One that runs since the machine came up has what the boot before gave it.
serve() {
  printf '%s\n' "[Unit]" "Description=Muster's agent" "Wants=network-online.target" "After=network-online.target" \
    "StartLimitIntervalSec=0" "[Service]" "${https_proxy:+Environment=https_proxy=$https_proxy no_proxy=$no_proxy}" \
    "ExecStart=/usr/bin/env python3 $NODE $2" "Restart=always" "RestartSec=5" \
    "[Install]" "WantedBy=multi-user.target" >"/etc/systemd/system/$1.service"
  systemctl daemon-reload
  systemctl enable "$1"
  systemctl restart "$1"
}
