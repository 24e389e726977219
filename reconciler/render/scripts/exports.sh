# The head node's volumes, for the nodes of the VPC; the security groups narrow that to the cluster. Root is nobody there.
need exportfs install_nfs_server
mkdir -p /etc/exports.d /etc/nfs.conf.d
networks=$(imds "network/interfaces/macs/$(imds mac)/vpc-ipv4-cidr-blocks")
for directory in "${EXPORTS[@]}"; do
  for network in $networks; do
    printf '"%s" %s(rw,sync,no_subtree_check)\n' "$directory" "$network"
  done
done >/etc/exports.d/muster.exports
# The default of 8 threads serves a few clients.
printf '[nfsd]\nthreads=%d\n' $((8 * $(nproc))) >/etc/nfs.conf.d/muster.conf
systemctl enable nfs-server
systemctl restart nfs-server
exportfs -ra
