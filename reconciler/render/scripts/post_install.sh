run_once postInstall "$POST_URL" "${POST_ARGS[@]}"
