#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lists the nodes' networks as they are now, page by page."""

import argparse
import sys

from kubernetes.client.exceptions import ApiException

from nodenetworkstates import RESOURCE, connect, explain, summary


def pages(api, **options):
    """Yields each page of the list; all of them are of one revision."""
    token = None
    while True:
        page = api.list_cluster_custom_object(**RESOURCE, **options, **({"_continue": token} if token else {}))
        yield page
        token = page["metadata"].get("continue")
        if not token:
            return


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", help="kubeconfig file; default: as kubectl")
    parser.add_argument("-l", "--selector", default="", help="label selector of the nodes")
    parser.add_argument("--field-selector", default="", help="for example status.conditions.InSync=False")
    parser.add_argument("--chunk-size", type=int, default=100, help="nodes in a page")
    args = parser.parse_args()
    api = connect(args.kubeconfig)
    options = {"label_selector": args.selector, "field_selector": args.field_selector, "limit": args.chunk_size}
    try:
        for page in pages(api, **options):
            for obj in page["items"]:
                print(summary(obj))
                for interface in obj["status"].get("currentState", {}).get("interfaces", []):
                    print(f"  {interface['name']} ({interface['type']}) is {interface['state']}")
    except ApiException as error:
        sys.exit(explain(error))


if __name__ == "__main__":
    main()
