#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lists the nodes' networks, then prints each change, until it has seen so many or its time is over."""

import argparse
import sys
import time

import urllib3
from kubernetes import watch
from kubernetes.client.exceptions import ApiException

from nodenetworkstates import RESOURCE, connect, explain, summary


def changes(api, deadline, start=None, **options):
    """Yields (kind, object): LISTED for each object of a list, then ADDED, MODIFIED and DELETED.

    A watch that ends is resumed from the last revision it has seen. A revision that the server no
    longer has, or never had because it was started anew, is answered by 410: then all is listed
    again, and what was there before and is not listed is gone.
    """
    version = start
    while (left := int(deadline - time.monotonic())) > 0:
        try:
            if version is None:
                listed = api.list_cluster_custom_object(**RESOURCE, **options)
                for obj in listed["items"]:
                    yield "LISTED", obj
                version = listed["metadata"]["resourceVersion"]
            # With timeout_seconds the library resumes nothing by itself: that is left to this loop.
            for event in watch.Watch().stream(
                api.list_cluster_custom_object, **RESOURCE, **options,
                resource_version=version, allow_watch_bookmarks=True, timeout_seconds=min(left, 300),
            ):
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    yield event["type"], event["object"]
        except ApiException as error:
            if error.status != 410:
                raise
            print("410: the revision is gone, listing again", flush=True)
            version = None
        except urllib3.exceptions.HTTPError as error:
            print(f"the connection was lost: {type(error).__name__}", flush=True)
            time.sleep(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", help="kubeconfig file; default: as kubectl")
    parser.add_argument("-l", "--selector", default="", help="label selector of the nodes")
    parser.add_argument("--field-selector", default="", help="for example status.conditions.InSync=False")
    parser.add_argument("--resource-version", help="where to start, instead of with a list")
    parser.add_argument("--events", type=int, default=10, help="changes to wait for")
    parser.add_argument("--for", dest="seconds", type=int, default=60, help="how many seconds to wait for them")
    args = parser.parse_args()
    api = connect(args.kubeconfig)
    left = args.events
    try:
        deadline = time.monotonic() + args.seconds
        options = {"label_selector": args.selector, "field_selector": args.field_selector}
        for kind, obj in changes(api, deadline, args.resource_version, **options):
            print(f"{kind:8} at {obj['metadata']['resourceVersion']}: {summary(obj)}", flush=True)
            left -= kind != "LISTED"
            if left <= 0:
                return
    except ApiException as error:
        sys.exit(explain(error))
    print("time is over")


if __name__ == "__main__":
    main()
