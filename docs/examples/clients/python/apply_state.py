#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Applies a NodeNetworkState in a YAML file, server-side, and tells how it went."""

import argparse
import json
import sys

import yaml
from kubernetes.client.exceptions import ApiException

from nodenetworkstates import RESOURCE, connect, explain


def apply(api, manifest, field_manager, force=False, dry_run=False):
    """Applies a manifest and returns the object as it is then.

    Without the content type the library would send a merge patch.
    """
    return api.patch_cluster_custom_object(
        **RESOURCE,
        name=manifest["metadata"]["name"],
        body=manifest,
        field_manager=field_manager,
        force=force,
        dry_run="All" if dry_run else None,
        _content_type="application/apply-patch+yaml",
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="YAML file, - for the standard input")
    parser.add_argument("--kubeconfig", help="kubeconfig file; default: as kubectl")
    parser.add_argument("--field-manager", default="example-python", help="who owns what is applied")
    parser.add_argument("--force-conflicts", action="store_true", help="take over what others own")
    parser.add_argument("--dry-run", action="store_true", help="validate on the node, change nothing")
    args = parser.parse_args()
    with sys.stdin if args.file == "-" else open(args.file, encoding="utf-8") as file:
        manifest = yaml.safe_load(file)
    api = connect(args.kubeconfig)
    try:
        obj = apply(api, manifest, args.field_manager, args.force_conflicts, args.dry_run)
    except ApiException as error:
        sys.exit(explain(error))
    name, status = obj["metadata"]["name"], obj["status"]
    if args.dry_run:
        print(f"{name}: this would change: {json.dumps(status.get('difference', {}))}")
        return
    last = status.get("lastApply")
    if last and last["generation"] == obj["metadata"]["generation"]:
        print(f"{name}: {last['outcome']}, generation {last['generation']}, by {last['user']}")
    else:
        print(f"{name}: nothing had to be applied")


if __name__ == "__main__":
    main()
