"""Prints the dashboard's expressions as a file of rules, so that Prometheus' own tool can tell whether they are PromQL."""

import json
import pathlib
import re

DASHBOARD = pathlib.Path(__file__).parent.parent / "k8s/base/monitoring/dashboard.json"


def expressions(dashboard):
    """What panels and annotations ask for, each with its place."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']}: {target['refId']}", target["expr"]
    for note in dashboard["annotations"]["list"]:
        if "expr" in note:
            yield note["name"], note["expr"]


def filled_in(expression):
    """An expression as Grafana sends it."""
    expression = expression.replace("$__rate_interval", "5m")
    return re.sub(r"\$(namespace|job|instance)\b", ".*", expression)


def main():
    dashboard = json.loads(DASHBOARD.read_text())
    rules = [
        {"record": f"dashboard:{number}", "labels": {"place": place}, "expr": filled_in(expression)}
        for number, (place, expression) in enumerate(expressions(dashboard))
    ]
    # JSON is YAML.
    print(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}, indent=1))


if __name__ == "__main__":
    main()
