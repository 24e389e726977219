# Without disks of its own an instance has a directory of its root volume. Disks that are no NVMe devices are there only
# if a launch template asks for them, and none here does: the metadata service need not be asked.
imds() { :; }
mkdir -p "$SCRATCH"
chmod 1777 "$SCRATCH"
