# SPDX-License-Identifier: Apache-2.0
"""What the examples share: the way in, and what errors mean."""

import json

from kubernetes import client, config

# How CustomObjectsApi finds the resource. It needs no CustomResourceDefinition: any resource is called so.
RESOURCE = {"group": "nmstate.io", "version": "v1alpha1", "plural": "nodenetworkstates"}

# What an error of a write means, by its reason: 500 and 504 may also come from something in between.
MEANINGS = {
    "Conflict": "somebody else owns it, or has changed it since it was read",  # 409
    "Invalid": "the state is wrong or not supported, the node is as it was",  # 422
    "TooManyRequests": "somebody else is changing it: try again once that has ended",  # 429
    "InternalError": "nmstate failed at it, the node was put back",  # 500
    "ServiceUnavailable": "the node or the server cannot be reached",  # 503
    "Timeout": "it goes on, or the node was lost: wait until Progressing is False and read status.lastApply",  # 504
}


def connect(kubeconfig=None):
    """Returns the API of custom objects, found as kubectl finds it: the file that is named,
    $KUBECONFIG, ~/.kube/config, or the pod's own service account."""
    try:
        config.load_kube_config(config_file=kubeconfig)
    except config.ConfigException as error:
        if kubeconfig:
            raise config.ConfigException(f"{kubeconfig}: {error}") from error
        config.load_incluster_config()
    return client.CustomObjectsApi()


def explain(error):
    """Returns what an ApiException says: the code, what it means, and the server's words, which are
    nmstate's where it refused or failed."""
    try:
        status = json.loads(error.body)
        meaning, message = MEANINGS.get(status.get("reason")), status["message"]
    except (TypeError, ValueError, KeyError, AttributeError):
        meaning, message = None, error.body or error.reason
    return f"{error.status}: {meaning}: {message}" if meaning else f"{error.status}: {message}"


def condition(obj, kind):
    """Returns the status of one of an object's conditions."""
    for entry in obj.get("status", {}).get("conditions", []):
        if entry["type"] == kind:
            return entry["status"]
    return "Unknown"


def summary(obj):
    """Returns a line about a node."""
    count = obj.get("status", {}).get("interfaces")
    up = f"{count['up']}/{count['total']} interfaces up" if count else "no state"
    return f"{obj['metadata']['name']}: available {condition(obj, 'Available')}, in sync {condition(obj, 'InSync')}, {up}"
