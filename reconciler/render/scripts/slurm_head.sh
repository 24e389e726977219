serve muster-head head
