"""The version of the operator; every cluster stack that it renders is tagged with it."""

VERSION = "0.1.0"
