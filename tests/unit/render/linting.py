"""cfn-lint, which knows the schemas of all resource types, in this process."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from cfnlint.config import ConfigMixIn, ManualArgs
from cfnlint.decode.decode import decode_str
from cfnlint.jsonschema import validators as classes
from cfnlint.jsonschema._utils import Unset
from cfnlint.rules.jsonschema.CfnLint import CfnLint
from cfnlint.runner import Runner

from reconciler.cluster import Cluster
from tests.unit.render.support import rendered

IGNORED = {
    # Zones are pinned on purpose: to read a zone from the head node would replace the volumes with it.
    "W3010",
}


# What EC2 has is asked of EC2 when a spec is accepted; a made-up type has the form of one, and that is all.
MADE_UP = ("E3628",)


def _made_once(create: Callable[..., Any]) -> Callable[..., Any]:
    """The class of validators of some keywords, which cfn-lint makes anew for each part of a template."""
    made: dict[Any, Any] = {}

    def once(validators: Any = None, function_filter: Any = None, fn_resolvers: Any = None) -> Any:
        key = (tuple((validators or {}).items()), tuple((fn_resolvers or {}).items()), repr(function_filter))
        if key not in made:
            made[key] = create(validators, function_filter, fn_resolvers)
        return made[key]

    return once


def _asked(self: CfnLint, validator: Any, keywords: Iterable[str], instance: Any, schema: Any) -> Iterator[Any]:
    """As cfn-lint has it, which asks each of its hundreds of rules for each keyword whether it is about that."""
    if "_about" not in self.__dict__:
        self._about = defaultdict(list)
        for rule in self.child_rules.values():
            for keyword in rule.keywords if rule and rule.id else ():
                self._about[keyword].append(rule)
    validator = validator.evolve(function_filter=validator.function_filter.evolve(add_cfn_lint_keyword=False))
    for keyword in keywords:
        for rule in self._about.get(keyword, ()):
            for error in rule.validate(validator, keyword, instance, schema):
                if error.rule is None and isinstance(error.validator, Unset):
                    error.rule = rule
                yield error


classes.create = _made_once(classes.create)
CfnLint.cfnLint = _asked


@cache
def _linter(*ignored: str) -> Runner:
    """Kept: to load its rules takes as long as to apply them."""
    return Runner(ConfigMixIn(**ManualArgs(regions=["us-east-1"], ignore_checks=[*IGNORED, *ignored])))


def faults_of(template: str, *ignored: str) -> list[str]:
    """What cfn-lint has against a template, but for its checks that are ignored."""
    decoded, errors = decode_str(template)
    assert decoded is not None, errors
    return [str(match) for match in [*errors, *_linter(*ignored).validate_template(decoded)]]


def check_lint(cluster: Cluster, *ignored: str) -> None:
    """cfn-lint has nothing against the cluster's stack."""
    assert faults_of(rendered(cluster).body, *ignored) == []
