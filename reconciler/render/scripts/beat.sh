# After the proxy is known: what runs beside keeps the environment that it was started with.
beat >/dev/null 2>&1 &
BEATER=$!
