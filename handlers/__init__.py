"""The entry points of the Lambda functions: one file each; they unwrap the event and hand over."""
