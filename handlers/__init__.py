"""The entry points of the Lambda functions: one file each; they unwrap the event and hand over."""

import gc

# What is imported stays, so to look for garbage among it is lost time: a tenth of a cold start.
gc.set_threshold(100_000)
