"""The entry points of the Lambda functions: one file each; they unwrap the event and hand over."""

import gc

# What is imported stays, so to look at it again and again is lost time: a tenth of a cold start. Rings of young objects
# have to be found all the same, for every pass leaves some: with 100,000 it grew by 8 MB before any was given back.
gc.set_threshold(10_000, 50)
