run_once preInstall "$PRE_URL" "${PRE_ARGS[@]}"
