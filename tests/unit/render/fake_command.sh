#!/bin/bash
# Stands for every command that a node's script calls. Links to it bear the commands' names; $FAKE_ROOT is the node's root.
# A device is a file that holds the name of what is on it, and nothing if it is blank.
name=${0##*/}
echo "$name $*" >>"$FAKE_ROOT/calls"
last=${*: -1}

fails() { grep -qxF -- "$1" "$FAKE_ROOT/failing" 2>/dev/null; }
fails "$name" && exit 1

case $name in
  curl)
    case $last in
      */api/token) echo token ;;
      */instance-id) echo i-0123456789abcdef0 ;;
      */mac) echo 02:00:00:00:00:01 ;;
      */vpc-ipv4-cidr-blocks) printf '10.0.0.0/16\n10.1.0.0/16\n' ;;
      */block-device-mapping/) printf 'ami\nephemeral0\nroot\n' ;;
      */block-device-mapping/ephemeral0) echo sdb ;;
      *) cp "$FAKE_ROOT/download" "${*: -2:1}" ;;
    esac
    ;;
  aws)
    echo "$2 ${https_proxy:-}" >>"$FAKE_ROOT/proxies"
    fails "aws $1 $2" && { echo "An error occurred" >&2; exit 1; }
    case "$1 $2" in
      "ec2 attach-volume")
        if fails "$last"; then
          echo "An error occurred (InvalidParameterValue): Attachment point $last is already in use" >&2
          exit 1
        fi
        volume=$4
        link=$FAKE_ROOT/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${volume/-/}
        mkdir -p "${link%/*}"
        cat "$FAKE_ROOT/content/$volume" >"$link" 2>/dev/null
        ;;
      "s3 cp")
        case $4 in
          -) cat >"$FAKE_ROOT/uploaded" ;;
          *.pyz) cp "$FAKE_ROOT/agent" "$last" ;;
          *) cp "$FAKE_ROOT/download" "$last" ;;
        esac
        ;;
      "logs put-log-events") cp "${last#file://}" "$FAKE_ROOT/shipped" ;;
      "dynamodb update-item") cp "${last#file://}" "$FAKE_ROOT/told" ;;
    esac
    ;;
  python3)
    # Our own few lines run; of the agent it is seen what it is asked for.
    case "$1 $2" in
      "-c import boto3") ! fails "import boto3" ;;
      "-c "*) exec "$FAKE_PYTHON" "$@" ;;
      *) ! fails "agent $2" ;;
    esac
    ;;
  wipefs) cat "$last" ;;
  mkfs.xfs) echo xfs >"$last" ;;
  mountpoint) grep -qxF -- "$last" "$FAKE_ROOT/mounted" 2>/dev/null ;;
  mount) echo "$last" >>"$FAKE_ROOT/mounted" ;;
  findmnt) echo xfs ;;
  chmod) /bin/chmod "$@" ;;
  nproc) echo 4 ;;
  uname) echo 6.1.0 ;;
  lsb_release) echo noble ;;
  mdadm)
    # --create ARRAY --run --level --raid-devices MEMBER..., or --assemble ARRAY MEMBER...
    mkdir -p "${2%/*}"
    [[ $1 == --create ]] && : >"$2"
    for member; do
      [[ $member == */by-id/* ]] && echo "raid $2" >"$member"
    done
    ;;
  lsblk)
    read -r kind array <"$last"
    echo "$last disk"
    [[ $kind == raid ]] && echo "$array raid0"
    ;;
  vgchange) [[ -e $FAKE_ROOT/dev/muster/scratch ]] ;;
  lvcreate) mkdir -p "$FAKE_ROOT/dev/muster" && : >"$FAKE_ROOT/dev/muster/scratch" ;;
  sleep) ! fails sleeping && echo sleeping >>"$FAKE_ROOT/failing" ;;
esac
