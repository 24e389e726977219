# The way out. What stays inside, the metadata service above all, does not take it.
export http_proxy=$PROXY https_proxy=$PROXY no_proxy=169.254.169.254,127.0.0.1,localhost
printf 'export %q %q %q\n' "http_proxy=$PROXY" "https_proxy=$PROXY" "no_proxy=$no_proxy" >/etc/profile.d/muster-proxy.sh
if command -v snap >/dev/null; then
  snap set system proxy.http="$PROXY" proxy.https="$PROXY"
fi
