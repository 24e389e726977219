# The row says why the node failed, and the operator, which counts that, ends the node. This needs no more than the hook.
last_words() {
  python3 -c 'import json, sys, time
place, node, words, log = sys.argv[1:]
place = json.loads(place)
text = words + "\n" + open(log, errors="replace").read()[len(words) - 1999:].strip()
values = {"failed": "failed", "reason": text, "a": "booting", "b": "ready", "c": "draining"}
print(json.dumps({
    "TableName": place["table"],
    "Key": {"cluster": {"S": place["cluster"] + "/nodes"}, "row": {"S": "NODE#" + node}},
    "ConditionExpression": "#state IN (:a, :b, :c)",
    "UpdateExpression": "SET #state = :failed, #since = :since, #reason = :reason",
    "ExpressionAttributeNames": {"#" + name: name for name in ("state", "since", "reason")},
    "ExpressionAttributeValues": {
        ":since": {"N": str(time.time())}, **{":" + name: {"S": value} for name, value in values.items()}},
}))' "$PLACE" "$INSTANCE" "bootstrap failed with status $1" "$LOG" >"$STATE/words.json"
  retry 60 aws dynamodb update-item --cli-input-json "file://$STATE/words.json"
}
