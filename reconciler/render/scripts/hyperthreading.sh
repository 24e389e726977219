# One thread a core. Machines that have no second one say "notsupported" or "notimplemented".
SMT=/sys/devices/system/cpu/smt/control
if [[ $(cat "$SMT") == on ]]; then
  echo off >"$SMT"
fi
