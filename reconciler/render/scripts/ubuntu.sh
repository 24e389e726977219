# Ubuntu, which has neither the AWS CLI nor AWS's build of Lustre in its archive.
export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"; }
install() { apt update && apt install "$@"; }
install_nfs_client() { install nfs-common; }
install_nfs_server() { install nfs-kernel-server; }
install_cli() { snap install aws-cli --classic; }
install_lustre() {
  local site=https://fsx-lustre-client-repo key=/etc/apt/keyrings/fsx-lustre.asc name
  name=$(lsb_release -cs)
  mkdir -p /etc/apt/keyrings
  curl -fsS --proto '=https' -o "$key" "$site-public-keys.s3.amazonaws.com/fsx-ubuntu-public-key.asc"
  echo "deb [signed-by=$key] $site.s3.amazonaws.com/ubuntu $name main" >/etc/apt/sources.list.d/fsx-lustre.list
  install "lustre-client-modules-$(uname -r)" lustre-client-modules-aws
}
