systemctl enable slurmctld
serve muster-head head
